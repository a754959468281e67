"""Libraries that a test needs and an environment may lack, where a plain importorskip would find something else."""

from __future__ import annotations

from typing import Any

import pytest


def hugging_face_datasets() -> Any:
    """The library `datasets`; without it the name is a folder of these tests."""
    module = pytest.importorskip("datasets")
    if not hasattr(module, "Dataset"):
        pytest.skip("Hugging Face's datasets is not installed")
    return module
