"""How tests wait for something that has to come: no test depends on how long it takes."""

import time
from collections.abc import Callable

HANG = 600.0  # seconds after which what a test waits for is taken to hang for good: no limit on how slow a busy machine may be
WHOLE = 6 * HANG  # the same for a whole run of the pipeline
NO_LIMIT = 1e6  # seconds for one program of a policy: what is proved must not depend on how busy the machine is


def until(condition: Callable[[], object]) -> None:
    """Wait for something that has to come."""
    end = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
