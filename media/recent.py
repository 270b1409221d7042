"""What has just been seen and heard: threads put it in, another takes the newest of it, as often as it gets to."""

import threading
import time
from collections import deque
from dataclasses import dataclass

from .windows import Event, Picture


@dataclass(frozen=True)
class Newest:
    """The events of the last seconds."""

    events: list[Event]
    """In order of time."""
    begin: float
    """s, of the first event that the buffer ever held."""
    end: float
    """s, up to which there are events."""
    arrived: float
    """When the newest came, s by the monotonic clock."""


class Recent:
    """The events of the last `seconds`, older ones fall out; for threads that put and one that takes.

    Args:
        seconds: that are kept, as long as a window.
        pictures: of them, at least so many are kept where as many come; more than four times as many are thinned out.
    """

    def __init__(self, seconds: float, pictures: int):
        self.seconds, self.apart = seconds, seconds / (4 * pictures)
        self.dropped = 0
        """Pictures that fell out before anybody took them."""
        self._lock, self._events = threading.Lock(), deque()
        self._begin: float | None = None
        self._end = self._shown = self._taken = float("-inf")
        self._arrived = time.monotonic()

    def put(self, event: Event) -> None:
        """Add an event, and let those fall out that are too old by then."""
        with self._lock:
            self._arrived = time.monotonic()
            self._begin = event.time if self._begin is None else self._begin
            self._end = max(self._end, event.end)
            if isinstance(event, Picture):
                if event.time < self._shown + self.apart:
                    return
                self._shown = event.time
            self._events.append(event)
            while self._events and self._events[0].end < self._end - self.seconds:
                old = self._events.popleft()
                self.dropped += isinstance(old, Picture) and old.time > self._taken

    def newest(self) -> Newest | None:
        """What is there; None: nothing came yet."""
        with self._lock:
            if self._begin is None:
                return None
            self._taken = max(
                (event.time for event in self._events if isinstance(event, Picture)), default=self._taken
            )
            events = sorted(self._events, key=lambda event: event.time)
            return Newest(events, self._begin, self._end, self._arrived)
