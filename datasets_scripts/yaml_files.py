"""The door for YAML: a recipe or a description of a study becomes plain values, bounded in size, depth and aliases."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from affecthub.datasets_scripts.text_files import Limits, limits, read_file, too_large

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

FAULTS = (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What PyYAML raises: of the date 2024-13-45 a ValueError, of `!!bool maybe` a KeyError, and so on."""

LONGEST = 100
"""Characters of a number or a date, at most."""

KINDS = {"scalar": "single value", "sequence": "list", "mapping": "mapping"}

MAP = "tag:yaml.org,2002:map"

PLAIN = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
"""Tags of texts, and of `<<`, which stands for another mapping's keys."""


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A mapping of texts to plain values; an empty file holds none.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no regular file, too large, no text, no YAML, no mapping of texts to values; a key that stands
            twice, of which one would vanish; deeper than allowed, or aliases that stand for themselves or for too
            much.
    """
    path = Path(path)
    text = _text(path)
    with _told(path):
        excess = _excess(text)
    if excess:
        raise too_large(path, *excess)
    with _told(path):
        root = yaml.compose(text, LOADER)
    if root is None:
        return {}
    if root.tag != MAP:
        raise ValueError(f"{path}: it holds a {KINDS[root.id]}; write `key: value` lines.")
    _check(path, root, limits(), {})
    with _told(path):
        return LOADER("").construct_document(root)


def _text(path: Path) -> str:
    raw = read_file(path, "yaml_bytes")
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        wrong = raw[error.start : error.start + 8]
        raise ValueError(f"{path}, line {line}: {wrong!r} is not {encoding}; save the file as UTF-8.") from error


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Makes one ValueError of all that PyYAML raises."""
    try:
        yield
    except FAULTS as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or f"{error}"
        if begun := getattr(error, "context_mark", None):
            said += f" {getattr(error, 'context', None)} that begins in line {begun.line + 1}"
        raise ValueError(
            f"{path}{line}: no readable YAML: {said}; write `key: value` lines, indented by blanks, and a text that "
            "looks like something else in quotes."
        ) from error


def _excess(text: str) -> tuple[str, str] | None:
    """The limit that a text is beyond, and by what, before anything is built of it; None where it is not."""
    bounds, depth = limits(), 0
    for count, event in enumerate(yaml.parse(text, LOADER)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > bounds.depth:
            return "depth", f"line {event.start_mark.line + 1} lies within {depth} mappings and lists"
        if count > 3 * bounds.yaml_nodes:  # a node is a scalar, or a beginning and an end
            return "yaml_nodes", f"it holds over {bounds.yaml_nodes:,} keys and values"
    return None


def _check(path: Path, node: yaml.Node, bounds: Limits, seen: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many nodes one stands for, and how deep they lie; `seen` holds that of nodes by id, (0, 0) of open ones.

    Raises:
        ValueError: as `read_yaml`.
    """
    line = node.start_mark.line + 1
    if id(node) in seen:
        if seen[id(node)] == (0, 0):
            raise ValueError(f"{path}, line {line}: what `&` names here holds itself; write it out.")
        return seen[id(node)]
    seen[id(node)] = 0, 0
    nodes, depth = 1, 1
    for part in _parts(path, node):
        count, level = _check(path, part, bounds, seen)
        nodes, depth = nodes + count, max(depth, 1 + level)
    if nodes > bounds.yaml_nodes:
        raise too_large(
            f"{path}, line {line}", "yaml_nodes", f"with what its aliases stand for it holds {nodes:,} values"
        )
    if depth > bounds.depth:
        raise too_large(f"{path}, line {line}", "depth", f"with what its aliases stand for it is {depth} levels deep")
    seen[id(node)] = nodes, depth
    return nodes, depth


def _parts(path: Path, node: yaml.Node) -> list[yaml.Node]:
    """What lies within a node; ValueError where a value or a key is none."""
    if isinstance(node, yaml.MappingNode):
        _check_keys(path, node)
        return [part for pair in node.value for part in pair]
    if isinstance(node, yaml.SequenceNode):
        return node.value
    if node.tag in PLAIN:
        return []
    place = f"{path}, line {node.start_mark.line + 1}: {node.value[:20]!r}"
    if len(node.value) > LONGEST:
        raise ValueError(f"{place}... has {len(node.value):,} characters and is no text; write a text in quotes.")
    try:
        LOADER("").construct_object(node)
    except FAULTS as error:
        raise ValueError(
            f"{place} is no {node.tag.removeprefix('tag:yaml.org,2002:')}; mend it, or write a text in quotes."
        ) from error
    return []


def _check_keys(path: Path, node: yaml.MappingNode) -> None:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or key.tag not in PLAIN:
            shown = repr(key.value)[:40] if isinstance(key, yaml.ScalarNode) else f"a {KINDS[key.id]}"
            raise ValueError(f"{path}, line {line}: the key {shown} is no text; write it in quotes.")
        if key.value in lines:
            raise ValueError(
                f"{path}, lines {lines[key.value]} and {line}: two values are named {key.value!r}: delete one."
            )
        lines[key.value] = line
