"""What a pass costs: measured of this process, or put together from what others say of themselves."""

from __future__ import annotations

import numpy as np

from streameval.evaluation.resources import Meter, Usage
from streameval.system import memory_in_use


def test_a_process_tells_its_own_threads_and_memory() -> None:
    one = Usage.here(3)
    assert one.threads == 3
    assert one.process == Usage.here(1).process
    found = memory_in_use()
    assert 0 < one.peak_anon_bytes <= 2 * found["RssAnon"]


def test_without_other_processes_a_meter_tells_of_this_one() -> None:
    meter = Meter(max_memory=1 << 30)
    ballast = np.ones(64 << 17)
    meter.look()
    found = meter.resources(1000, 2)
    assert (found.threads, found.max_memory_bytes) == (2, 1 << 30)
    assert found.peak_anon_bytes > ballast.nbytes
    assert found.base_bytes is not None
    assert found.rows_per_second > 0


def test_what_was_taken_after_the_last_sample_is_seen_at_the_end() -> None:
    """Samples are 50 ms apart: looks in between see nothing, and the end makes up for them."""
    meter = Meter()
    meter.look()
    before = meter.resources(1, 1).peak_anon_bytes
    ballast = np.ones(64 << 17)
    meter.look()
    assert meter.resources(1, 1).peak_anon_bytes >= before + ballast.nbytes // 2
    # And where nobody looked at all.
    assert Meter().resources(1, 1).peak_anon_bytes > ballast.nbytes


def test_of_other_processes_threads_add_up_and_peaks_do_not() -> None:
    """The last word of each on its threads, its largest on memory; this process's own do not count."""
    meter = Meter()
    meter.look()
    for usage in (
        Usage("a:1", 4, 500, 70),
        Usage("b:1", 2, 300, 90),
        Usage("a:1", 3, 400, 80),
        Usage("a:2", 1, 200, 10),
    ):
        meter.add(usage)
    found = meter.resources(10, 64)
    assert (found.threads, found.peak_anon_bytes, found.peak_file_bytes) == (6, 500, 90)
    assert found.base_bytes is None
