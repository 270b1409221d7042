"""Processes end with whoever started them, also when that is killed and can tell nobody."""

import os
import threading
import time
from functools import cache

import psutil

PARENT = "AFFECTHUB_PARENT"
"""Where a sweep leaves the number of its process for the runs that it starts."""

STARTED_BY = (PARENT, "ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID")
"""What a sweep, `accelerate launch` and torchrun leave in the environment of the processes that they start."""

EVERY = 0.5
"""s from one look at the parent to the next."""


def end_with_parent(*_: object) -> None:
    """From now on, end this process at once when its parent has ended; what it was at is given up.

    What starts processes may pass it arguments, such as a data loader the number of the process.
    """
    parent = os.getppid()
    started = psutil.Process(parent)

    def watch() -> None:
        # a dead parent is another process's child, or waits to be collected; elsewhere than on POSIX the number stays
        while os.getppid() == parent and (os.name == "posix" or started.is_running()):
            time.sleep(EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()


@cache
def end_with_launch() -> None:
    """`end_with_parent`, in a process that one of `STARTED_BY` began; to be called before slow libraries are loaded.

    A run whose sweep has ended before it came to look ends at once.
    """
    if not any(name in os.environ for name in STARTED_BY):
        return
    end_with_parent()
    if os.name == "posix" and os.environ.get(PARENT, f"{os.getppid()}") != f"{os.getppid()}":
        os._exit(1)
