"""What leaves this machine names nobody and no place: pseudonyms of people, and no path, no token, in any text.

A pseudonym is the beginning of a keyed digest (HMAC with SHA-256) of a study's name, the sort of thing and its name:
`P-ce7bc7e2t5`. The same key gives the same one, in a data set, a card and a report, also when people join; without the
key nobody can find it by trying names. The key is made at random at its first use and stays in the cache's folder.
"""

import base64
import hmac
import json
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..media.files import cache_root

KEY_FILE = "pseudonyms.key"
"""Below `cache_root()`, for its owner alone. Without it the same names get other pseudonyms: keep a copy."""

SORTS = {"participant": ("P", 10), "recording": ("R", 10), "dialogue": ("D", 10), "key": ("K", 16)}
"""What is renamed -> how its pseudonyms begin, and their characters of 5 bits each: rows are many more than people."""

LOCAL_PATH, TOKEN = "(local path)", "(token)"

TOKENS = re.compile(r"\bhf_[A-Za-z0-9]{16,}")
"""Access tokens of the Hub."""

_START = r"file:/+|~[\w.-]*[/\\]|\.{1,2}[/\\]|[A-Za-z]:[\\/]|\\\\(?=\w)|//?(?=[\w.~])"
_PART = r"""[^\s/\\"'`<>|,;:*?()\[\]]"""

PATHS = re.compile(
    rf"(?<![\w/.<:\\])(?:{_START})"
    rf"(?:{_PART}*(?:[ ]{_PART}+){{0,4}}[/\\])*"  # folders, in whose names there may be blanks
    rf"(?:{_PART}*(?:[ ]{_PART}+){{1,4}}\.[A-Za-z]\w{{0,4}}\b|{_PART}*[\w-])?"
    r"|\b[\w.-]+(?:\\[\w. -]+)*\\[\w.-]+"
)
"""Paths within a text: POSIX and Windows, absolute, of a home folder, of a network share, relative with a leading dot,
and addresses of files. Web addresses are none."""

WHOLE_PATH = r"^(?:file:/+|~[\w.-]*[/\\]|[A-Za-z]:[\\/]|\\\\|//?[^/\s][^/]*/)"
"""How a text begins that is nothing but a path; for any engine of regular expressions."""

PLACES = re.compile(r"(?:^|(?<!class)_)(?P<where>root|study|path|dir|file|folder|encoder)$")
"""Keys of a recipe that say where something lies."""

HUB_ID = re.compile(r"(?:\w[\w.-]*/)?\w[\w.-]*")
OWNED = re.compile(r"\w[\w.-]*/\w[\w.-]*")
"""Names on the Hub: "name" or "owner/name", and of an owner."""

FILE_SUFFIX = re.compile(r"\.[A-Za-z]\w{1,7}$")


class Pseudonyms:
    """Stable pseudonyms of one study.

    Args:
        study: its name; one person has different pseudonyms in two studies.
        key: secret bytes; by default those of `KEY_FILE`, which is made where it is not there.

    Raises:
        OSError: the key cannot be read or written; named, with the remedy.
    """

    def __init__(self, study: str, key: bytes | None = None):
        self.study, self.key = study, key or secret_key()

    def of(self, sort: str, name: str) -> str:
        """The pseudonym of a name; `sort` is one of `SORTS`.

        Examples:
            >>> Pseudonyms("a study", b"secret").of("participant", "Jane Doe")
            'P-ce7bc7e2t5'
        """
        prefix, length = SORTS[sort]
        said = json.dumps([self.study, sort, unicodedata.normalize("NFC", str(name))])
        digest = hmac.digest(self.key, said.encode(), "sha256")
        return f"{prefix}-{base64.b32encode(digest)[:length].decode().lower()}"

    def table(self, names: Mapping[str, Iterable[str | None]], value: object = None) -> dict[str, str]:
        """Name -> pseudonym.

        Args:
            names: of each sort; one that is of two sorts has the pseudonym of the first.
            value: a JSON value; names that do not occur in its texts are left out. None: all are there.
        """
        text = None if value is None else json.dumps(value, ensure_ascii=False, default=str)
        found: dict[str, str] = {}
        for sort, of_sort in names.items():
            for name in dict.fromkeys(str(name) for name in of_sort if name is not None):
                if text is None or any(json.dumps(form, ensure_ascii=False)[1:-1] in text for form in _forms(name)):
                    found.setdefault(name, self.of(sort, name))
        return found


def secret_key(folder: Path | None = None) -> bytes:
    """The key of this user's pseudonyms, made at the first call.

    Args:
        folder: where it lies; by default `cache_root()`.

    Raises:
        OSError: it cannot be read or written, or is cut off.
    """
    path = (folder or cache_root()) / KEY_FILE
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            made = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            try:
                with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    file.write(secrets.token_hex(32).encode())
                with suppress(FileExistsError):  # of another process, which was first
                    os.link(made, path)
            finally:
                made.unlink(missing_ok=True)
        key = path.read_bytes()
    except OSError as error:
        raise OSError(
            error.errno,
            f"{path}, the key of the pseudonyms, cannot be read or written ({error.strerror}): make room or "
            "give access there, or set AFFECTHUB_CACHE to another folder.",
        ) from error
    if len(key) != 64:
        raise OSError(f"{path} is no key of pseudonyms: restore it from a copy, or delete it to have new pseudonyms.")
    return key


def renamed(text: str, names: Mapping[str, str]) -> str:
    """A text with pseudonyms instead of names, the longest first; numbers and single letters are no names.

    Examples:
        >>> renamed("Jane Doe 3.wav is not there", {"Jane Doe": "P-x", "3": "P-y"})
        'P-x 3.wav is not there'
    """
    forms = {form: pseudonym for name, pseudonym in names.items() for form in _forms(name) if form in text}
    if not forms:
        return text
    anyone = "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))
    return re.sub(rf"(?<!\w)(?:{anyone})(?!\w)", lambda found: forms[found.group()], text)


def _forms(name: str) -> set[str]:
    """How a name may be written; none of what is no name."""
    if sum(map(str.isalpha, name)) < 2:
        return set()
    return {unicodedata.normalize(form, name) for form in ("NFC", "NFD")}


def is_place(key: str, value: object) -> bool:
    """Whether a value of a recipe is a path of this machine, and not of the Hub.

    Args:
        key: of the value; `PLACES` are those that say where something lies.
        value: anything.
    """
    if not isinstance(value, str) or value == LOCAL_PATH or re.match(r"https?://", value) or "\n" in value:
        return False
    says_where = PLACES.search(key)
    if says_where and _exists(value):
        return True
    if re.match(WHOLE_PATH, value) or re.match(_START, value) or re.search(r"\w\\\w", value):
        return True
    if says_where:
        return not HUB_ID.fullmatch(value) if says_where["where"] == "encoder" else not OWNED.fullmatch(value)
    parts = value.split("/")
    return len(parts) > 1 and all(parts) and (len(parts) > 2 or bool(FILE_SUFFIX.search(value)) or _exists(value))


def _exists(path: str) -> bool:
    with suppress(OSError, ValueError, RuntimeError):  # too long for a path, or of a user whom nobody knows
        return Path(path).expanduser().exists()
    return False


def without_places(recipe: object, key: str = "") -> object:
    """A recipe, as JSON holds it, in which no value is a path of this machine."""
    if isinstance(recipe, dict):
        return {name: without_places(value, name) for name, value in recipe.items()}
    if isinstance(recipe, list):
        return [without_places(value) for value in recipe]
    return LOCAL_PATH if is_place(key, recipe) else recipe


def roots_of(recipe: object) -> list[str]:
    """The paths of this machine that a recipe names, as they stand there and absolute, and the home folder."""

    def places(value: Any, key: str = "") -> Iterator[str]:
        if isinstance(value, dict | list):
            for name, entry in value.items() if isinstance(value, dict) else (("", entry) for entry in value):
                yield from places(entry, name)
        elif is_place(key, value):
            yield value

    found = list(dict.fromkeys(places(recipe)))
    with suppress(RuntimeError):
        found += [str(Path(place).expanduser().absolute()) for place in found] + [str(Path.home())]
    return [place for place in dict.fromkeys(found) if re.search(r"[\w.][/\\]\w|\w \w", place)]


def without_paths(text: str, roots: Sequence[str] = ()) -> str:
    """A text without local paths and access tokens.

    Examples:
        >>> without_paths("no clip in /home/jane doe/study/a b.csv: see https://example.org/a/b")
        'no clip in (local path): see https://example.org/a/b'

    Args:
        text: of anything.
        roots: paths that are known, whatever they look like.
    """
    for root in sorted(filter(None, roots), key=len, reverse=True):
        text = re.sub(rf"(?<![\w/]){re.escape(root)}(?:[/\\]{_PART}+)*", LOCAL_PATH, text)
    return TOKENS.sub(TOKEN, PATHS.sub(LOCAL_PATH, text))


def public_words(value: object, names: Mapping[str, str], roots: Sequence[str] = ()) -> Any:
    """A JSON value whose texts, keys too, hold pseudonyms instead of names, and neither paths nor tokens."""
    if isinstance(value, str):
        return without_paths(renamed(value, names), roots)
    if isinstance(value, dict):
        return {public_words(key, names, roots): public_words(entry, names, roots) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(public_words(entry, names, roots) for entry in value)
    return value


__all__ = [
    "LOCAL_PATH",
    "SORTS",
    "TOKEN",
    "TOKENS",
    "WHOLE_PATH",
    "Pseudonyms",
    "is_place",
    "public_words",
    "renamed",
    "roots_of",
    "secret_key",
    "without_paths",
    "without_places",
]
