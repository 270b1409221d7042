"""The notebooks run from top to bottom, one after the other, as somebody would; their outputs are not kept."""

import json

import pytest

from .pages import ROOT

NOTEBOOKS = ["own_clips.ipynb", "load_explain_publish.ipynb", "study_report.ipynb"]
"""In the order in which they can be run: the second takes the first one's model."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """The folder in which they run."""
    return tmp_path_factory.mktemp("desk")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs(name, desk, monkeypatch):
    monkeypatch.chdir(desk)
    monkeypatch.setenv("AFFECTHUB_CACHE", str(desk / "cache"))
    monkeypatch.setattr("sys.argv", [name])
    cells = json.loads((ROOT / "notebooks" / name).read_text(encoding="utf-8"))["cells"]
    names = {"__name__": "__main__"}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
            exec(compile("".join(cell["source"]), f"{name}, {cell['id']}", "exec"), names)


def test_every_notebook_is_run_and_says_that_its_data_are_synthetic():
    found = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert found.keys() == set(NOTEBOOKS) and all("**synthetic**" in text for text in found.values())
