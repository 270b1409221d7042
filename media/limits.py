"""The limits of what comes from outside: one table, in which each is an option.

A file's header, a body's length and a client's parameters are claims. What is checked against these limits is the
claim, before a decoder sees the file, and then what was really decoded.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

VARIABLE = "AFFECTHUB_MEDIA_LIMITS"
"""Environment variable that sets limits for a whole process, as "windows=1000,pixels=4e6"."""


@dataclass(frozen=True)
class Limits:
    """What one input may be, and may cost.

    Raises:
        ValueError: a limit that is not above 0.
    """

    file_bytes: int = 64_000_000_000
    """Bytes of a file."""
    body_bytes: int = 200_000_000
    """Bytes of all files in a request to the endpoint, and of an upload to the page."""
    download_bytes: int = 2_000_000_000
    """Bytes fetched from an address."""
    download_seconds: float = 600.0
    """s that fetching takes, from the first to the last byte."""
    idle_seconds: float = 30.0
    """s without a byte after which fetching is given up."""
    reading_seconds: float = 60.0
    """s that reading a clip takes, or getting on to a later moment of a recording."""
    work_seconds: float = float("inf")
    """s that an input takes altogether, the model included; the endpoint and the page have 120 unless told."""
    recording_seconds: float = 86_400.0
    """s of a recording; what is stamped later is left out."""
    windows: int = 100_000
    """Windows of a recording."""
    overlap: int = 32
    """Windows that hold the same moment: their length divided by `hop_seconds`."""
    pixels: int = 67_108_864
    """Of a frame or picture: 2 to the power of 26, twice what 8K has."""
    lowest_rate: int = 1_000
    """Hz of a sound track."""
    highest_rate: int = 384_000
    """Hz of a sound track."""
    channels: int = 64
    """Of a sound track."""
    packet_bytes: int = 2_000_000_000
    """Bytes of compressed packets that are held for one clip."""
    characters: int = 100_000
    """Of a text."""
    depth: int = 16
    """Levels of lists and objects in a request."""
    inputs: int = 256
    """Inputs of a request, and turns of a conversation."""

    def __post_init__(self):
        for name in self.__dataclass_fields__:
            if not getattr(self, name) > 0:
                raise ValueError(f"limit {name}={getattr(self, name)}: a number above 0 is needed.")

    @classmethod
    def of(cls, values: "Limits | Mapping[str, float] | str | None") -> "Limits":
        """Limits from what a caller gives: some by name, or as "windows=1000,pixels=4e6"; None: the usual ones.

        Raises:
            ValueError: there is no limit of that name, or the value is no number.
        """
        if isinstance(values, Limits):
            return values
        usual = default_limits()
        if not values:
            return usual
        given = named(values) if isinstance(values, str) else values
        return cls(**{field.name: getattr(usual, field.name) for field in fields(cls)} | _numbers(given))


def named(text: str) -> dict[str, str]:
    """ "windows=1000,pixels=4e6" as a dictionary."""
    parts = (entry.partition("=") for entry in text.split(","))
    return {name.strip(): value for name, _, value in parts}


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Each value in its field's type."""
    kinds: dict[str, Any] = {field.name: field.type for field in fields(Limits)}
    found = {}
    for name, value in values.items():
        if name not in kinds:
            raise ValueError(f"limit {name!r}: there is none of this name, only {', '.join(kinds)}.")
        try:
            found[name] = kinds[name](float(value))
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"limit {name}={value!r}: a {kinds[name].__name__} above 0 is needed.") from None
    return found


@cache
def default_limits() -> Limits:
    """The usual ones, with those that the environment sets.

    Raises:
        ValueError: the variable `AFFECTHUB_MEDIA_LIMITS` holds something else.
    """
    told = os.environ.get(VARIABLE, "")
    try:
        return Limits(**_numbers(named(told))) if told else Limits()
    except ValueError as error:
        raise ValueError(f"{VARIABLE}={told}: {error}") from error


def too_much(what: str, value: float, name: str, limit: float) -> str:
    """The fault of what exceeds a limit, and its remedy."""
    return f"{what} {value:,.10g}, and at most {limit:,.10g} are taken; pass less, or raise the limit {name}"
