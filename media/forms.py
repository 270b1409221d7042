"""The form of the JSON that commands write for machines: which version it states, and the check where it is read."""

from collections.abc import Mapping

VERSION = 1
"""Of all of them. A key that goes, or means something else, makes it higher; a new one does not."""


def check_version(stated: Mapping[str, object], place: object) -> None:
    """Refuse what a newer version of this package wrote; what states no version is older than this.

    Args:
        stated: what a JSON file holds.
        place: which one.

    Raises:
        ValueError: its version is higher, or no number.
    """
    version = stated.get("version", VERSION)
    if not isinstance(version, int) or version > VERSION:
        raise ValueError(
            f"{place} is of version {version!r}, and this affecthub reads up to version {VERSION}: update affecthub."
        )
