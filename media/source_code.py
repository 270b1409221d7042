"""What our own code does, as a digest: caches are keyed by it, so that changed code never gives old results."""

import ast
import hashlib
import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

PACKAGE = __name__.partition(".")[0]


def code_digest(*modules: ModuleType | str) -> str:
    """16 hexadecimal digits of what modules do, with every module of this package that they import, at any depth.

    Comments, docstrings, layout and the names of files do not count.

    Args:
        modules: of this package, or their dotted names.
    """
    todo, sources = [m if isinstance(m, str) else m.__name__ for m in modules], {}
    while todo:
        name = todo.pop()
        if name not in sources:
            sources[name], imported = _read(name)
            todo += imported
    digest = hashlib.sha256()
    for source in sorted(sources.values()):
        digest.update(hashlib.sha256(source.encode()).digest())
    return digest.hexdigest()[:16]


def code_without_texts(path: str | Path) -> str:
    """What a Python file does, as its syntax tree, without comments, docstrings and layout."""
    return ast.dump(_without_texts(ast.parse(Path(path).read_text(encoding="utf-8"))))


def _without_texts(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)] or [ast.Pass()]
    return tree


@cache
def _read(name: str) -> tuple[str, list[str]]:
    """A module's code without docstrings, and the modules of this package that it imports."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name}: no module with a source")
    tree = _without_texts(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
    imported = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = importlib.util.resolve_name("." * node.level + (node.module or ""), spec.parent)
            imported += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    own = {m for m in imported if m.startswith(f"{PACKAGE}.") and _is_module(m)}
    return ast.dump(tree), sorted(own)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # something that is defined in a module
        return False
