"""A batch job: evaluate a model on a file and leave a JSON report, or an exit code that says what went wrong.

    python examples/batch_job.py MODEL DATA REPORT.json

The report appears whole or not at all. The memory stays flat however large the file is.
"""

from __future__ import annotations

import json
import sys

import streameval as se
from streameval.errors import StreamevalError
from streameval.files import atomic_file


def main(model_path: str, data_path: str, report_path: str) -> int:
    try:
        report = se.evaluate(se.load_model(model_path), se.open(data_path))
        with atomic_file(report_path) as file:
            file.write(json.dumps(report.to_dict(), indent=2).encode() + b"\n")
    except StreamevalError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{report.rows} rows, loss {report.loss:.6f}, {report.accuracy:.2%} right: {report_path}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
