"""The hunt: a small share of it, always the same, in the suite; all of it, and others by `SEED`, by `make fuzz`."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

EXAMPLES = "AFFECTHUB_FUZZ_EXAMPLES"

settings.register_profile(
    "hunt",
    max_examples=int(os.environ.get(EXAMPLES, 40)),
    derandomize=EXAMPLES not in os.environ,
    deadline=None,  # each test has a limit of its own
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
settings.load_profile("hunt")


@pytest.fixture(scope="module")
def folder():
    """For what is written and read; hypothesis asks for one that outlives an example."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)
