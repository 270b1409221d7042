"""Words of people and of data sets as they may stand in a card: as text, and never as Markdown or HTML.

Character references say the same in both, in a table and in a heading; within code they would be read as they are, so
code stands in a fence that its content cannot close.
"""

import re
from typing import Any

_SPECIAL = re.compile(r"[\\`*\[\]|$~&<]|(?<!\w)_|_(?!\w)|^[#+=>-]")


def plain(text: str) -> str:
    """A text that Markdown and HTML show as it is, in one line.

    Examples:
        >>> plain("![x](y) <b>|`")
        '!&#91;x&#93;(y) &#60;b>&#124;&#96;'
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return _SPECIAL.sub(lambda found: f"&#{ord(found.group())};", line)


def all_plain(value: object) -> Any:
    """A JSON value whose texts, keys too, are `plain`."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {all_plain(key): all_plain(entry) for key, entry in value.items()}
    return type(value)(map(all_plain, value)) if isinstance(value, list | tuple) else value


def fenced(code: str, language: str) -> str:
    """A block of code; its fence is longer than any in it."""
    longest = max(map(len, re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code.rstrip()}\n{fence}"


__all__ = ["all_plain", "fenced", "plain"]
