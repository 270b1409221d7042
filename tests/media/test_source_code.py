"""Caches are keyed by what the code does."""

import sys

import pytest

from affecthub.media import source_code
from affecthub.media.source_code import code_digest


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two modules, of which `top` imports `deep` relatively; gives a function that writes one anew."""
    (tmp_path / "toy").mkdir()

    def write(name, code):
        (tmp_path / "toy" / f"{name}.py").write_text(code)
        source_code._read.cache_clear()
        return code_digest("toy.top")

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(source_code, "PACKAGE", "toy")
    write_init = tmp_path / "toy" / "__init__.py"
    write_init.write_text("")
    (tmp_path / "toy" / "deep.py").write_text("VALUE = 1")
    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy"]:
        del sys.modules[name]


TOP = "from .deep import VALUE\n\ndef add(x):\n    return x + VALUE\n"


def test_comments_and_docstrings_do_not_count(package):
    first = package("top", TOP)
    documented = TOP.replace("    return", '    """Adds."""\n    # by one\n    return')
    assert package("top", '"""A module."""\n' + documented) == first


@pytest.mark.parametrize("name, code", [("top", TOP.replace("+", "-")), ("deep", "VALUE = 2")])
def test_code_counts_also_where_it_is_imported_from(name, code, package):
    assert package("top", TOP) != package(name, code)


def test_a_module_that_is_not_there_has_no_digest():
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        code_digest("affecthub.media.no_such_module")
