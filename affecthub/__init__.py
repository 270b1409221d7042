"""affecthub: from your own recordings of people to an emotion model on the Hub."""

from pathlib import Path as _Path

__version__ = "0.1.0"

_root = _Path(__file__).resolve().parent.parent
if (_root / "modeling" / "__init__.py").is_file() and (_root / "pyproject.toml").is_file():
    __path__.append(str(_root))  # a checkout: the rooms lie at its root, and ./affecthub must not hide them
