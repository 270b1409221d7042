"""Processes end with whoever started them, also when that is killed and can tell nobody."""

import os
import threading
import time

import psutil

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
