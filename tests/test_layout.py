"""The house's rules: which room imports which, what travels with a model, and that every example in prose runs."""

import ast
import doctest
import importlib
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.datasets_scripts.synthetic.utterances import render_sample_meld
from affecthub.training.from_recipe import build_model, build_processor, modalities_of
from affecthub.training.recipe import load_recipe

from .pages import EXTENDING, ROOT, fences

ROOMS = [
    "media",
    "datasets_scripts",
    "processing",
    "modeling",
    "evaluation",
    "training",
    "insight",
    "inference",
    "hub",
]
MAY_IMPORT = {
    "media": set(),
    "datasets_scripts": {"media"},
    "processing": set(),
    "modeling": set(),
    "architectures": {"processing", "modeling"},
    "evaluation": {"media", "datasets_scripts", "processing", "modeling"},
    "training": {"media", "datasets_scripts", "processing", "modeling", "architectures", "evaluation"},
    "insight": {"media", "datasets_scripts", "processing", "modeling", "evaluation", "training"},
    "inference": {"media", "processing", "modeling"},
    "hub": {*ROOMS, "architectures"} - {"hub"},
    "affecthub": {"architectures", "processing", "inference", "hub"},
    "train.py": {*ROOMS} - {"inference", "insight"},
    "run.py": set(),
}
"""Room -> the rooms it may import besides itself; training judges by evaluation's metrics, never the reverse.

The list of architectures is a room of its own. `affecthub` is the package's face, which loads what it needs when it is
asked: no room imports it, so that no arrow runs back up through it.
"""
TRAVELLING = ("processing", "modeling")
FACE = {
    path.relative_to(ROOT).as_posix(): path
    for path in sorted((ROOT / "affecthub").glob("*.py"))
    if not path.is_symlink()
}
SCRIPTS = {path.name: path for path in sorted(ROOT.glob("*.py"))}
SOURCES = FACE | {
    path.relative_to(ROOT).as_posix(): path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))
}
EVERYTHING = SOURCES | SCRIPTS | {p.relative_to(ROOT).as_posix(): p for p in (ROOT / "tests").rglob("*.py")}
PROSE = [
    path for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")) if path.is_file()
]
SNIPPETS = [
    pytest.param(code, id=f"{path.relative_to(ROOT)}-{number}")
    for path in PROSE
    if path != EXTENDING  # whose examples tests/training uses
    for number, code in enumerate(fences(path))
]


def imports_of(path):
    """(level, dotted module) of every import in a file, wherever it stands; level 0 is absolute.

    A string that is the path of a module of ours counts: that is how the face names what it loads later.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield from ((node.level, node.module or alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module != "affecthub":
            yield 0, node.module
        elif isinstance(node, ast.ImportFrom):
            yield from ((0, f"affecthub.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Constant) and re.fullmatch(r"affecthub\.\w+\.\w*", str(node.value)):
            yield 0, node.value


def room_of(name):
    """The room of a source file."""
    folder, _, rest = name.partition("/")
    return "architectures" if rest == "architectures.py" else folder


def rooms_imported(path):
    """The rooms that a source file names, absolutely or by `..`; what is no room is a name of the face."""
    for level, module in imports_of(path):
        parts = module.split(".")
        if level == 0 and parts[0] == "affecthub":
            yield parts[1] if len(parts) > 1 and parts[1] in [*ROOMS, "architectures"] else "affecthub"
        if level >= 2:
            yield parts[0]


def public_definitions(tree):
    """Public functions, classes and methods, private classes left out, that are not nested in functions."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (f for f in node.body if isinstance(f, ast.FunctionDef) and not f.name.startswith("_"))


def test_the_rooms_are_there():
    assert all((ROOT / room / "__init__.py").is_file() for room in ROOMS)
    assert {room_of(name) for name in SOURCES | SCRIPTS} == MAY_IMPORT.keys()
    assert len(SOURCES) > 30


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_go_one_way(room):
    wrong = {
        f"{name} imports {other}"
        for name, path in (SOURCES | SCRIPTS).items()
        if room_of(name) == room
        for other in rooms_imported(path)
        if other not in MAY_IMPORT[room] | {room}
    }
    assert wrong == set()


def test_what_rooms_import_never_leads_back():
    above = dict(MAY_IMPORT)
    while done := [room for room, needed in above.items() if not needed]:
        above = {room: needed - set(done) for room, needed in above.items() if room not in done}
    assert not above, f"these import one another: {sorted(above)}"


@pytest.mark.parametrize(
    ("room", "line", "found"),
    [
        ("training", "from affecthub import FrameVitConfig", "affecthub"),
        ("training", "import affecthub", "affecthub"),
        ("media", "from affecthub import architectures", "architectures"),
        ("modeling", "from affecthub.auto_classes import TASK", "affecthub"),
        ("architectures", "module = f'affecthub.hub.{name}'", "hub"),
        ("evaluation", "from ..training.recipe import Recipe", "training"),
        ("train.py", "from affecthub.inference import predict", "inference"),
    ],
)
def test_an_arrow_that_runs_back_is_seen(room, line, found, tmp_path):
    (tmp_path / "file.py").write_text(line + "\n")
    assert found in set(rooms_imported(tmp_path / "file.py")) - MAY_IMPORT[room] - {room}


def test_no_room_is_imported_by_its_bare_name():
    wrong = {
        f"{name} imports {module}"
        for name, path in EVERYTHING.items()
        for level, module in imports_of(path)
        if level == 0 and module.split(".")[0] in {*ROOMS, "recipes", "model_cards", "train", "run"}
    }
    assert wrong == set()


@pytest.mark.parametrize("room", TRAVELLING)
def test_what_travels_with_a_model_needs_public_libraries_and_its_siblings_alone(room):
    files = [path for name, path in SOURCES.items() if name.startswith(f"{room}/")]
    assert all(path.parent == ROOT / room for path in files), "no sub-folders: save_pretrained copies siblings only"
    siblings = {path.stem for path in files}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    libraries = {re.match(r"[\w-]+", entry)[0].replace("-", "_") for entry in declared} | {"cv2"}
    for path in files:
        for level, module in imports_of(path):
            if level:
                assert level == 1 and module in siblings, f"{path.name}: {'.' * level}{module}"
            else:
                assert module.split(".")[0] in libraries | sys.stdlib_module_names, f"{path.name}: {module}"


def test_no_file_name_is_used_twice_among_what_travels():
    names = [path.name for name, path in SOURCES.items() if name.split("/")[0] in TRAVELLING]
    assert sorted({name for name in names if names.count(name) > 1}) == ["__init__.py"]


def test_every_package_folder_is_in_both_tables_of_the_build():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "affecthub"}
    inner = [path.parent.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("__init__.py")]
    packages = ["affecthub", *(".".join(["affecthub", *folder.parts]) for folder in inner)]
    assert sorted(setuptools["packages"]) == sorted(packages)
    assert setuptools["package-dir"] == {f"affecthub.{f}": f for f in folders} | {"affecthub": "affecthub"}


def test_what_one_downloads_as_source_is_whole():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    named = set((ROOT / "MANIFEST.in").read_text(encoding="utf-8").split())
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"][
        "package-dir"
    ]
    always = {*packages.values(), "README.md", "LICENSE", "pyproject.toml"}
    left_out = {path.split("/")[0] for path in tracked} - named - always
    assert {name for name in left_out if not name.startswith(".")} == set()


def test_a_link_in_the_package_leads_to_every_room():
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "affecthub"}
    links = {path.name: path for path in (ROOT / "affecthub").iterdir() if not path.suffix and path.name[0] != "_"}
    assert links.keys() == folders
    for name, path in links.items():  # which are small files where the system makes no links
        leads_to = path.readlink().as_posix() if path.is_symlink() else path.read_text(encoding="utf-8")
        assert leads_to == f"../{name}"


def test_the_script_that_sets_everything_up_needs_nothing_but_python():
    assert {module.split(".")[0] for _, module in imports_of(ROOT / "run.py")} <= sys.stdlib_module_names


def test_train_py_reads_from_top_to_bottom():
    assert len((ROOT / "train.py").read_text(encoding="utf-8").splitlines()) < 200


@pytest.mark.parametrize("name", SOURCES)
def test_everything_public_is_documented(name):
    tree = ast.parse(SOURCES[name].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{name}: what belongs here?"
    missing = [node.name for node in public_definitions(tree) if not ast.get_docstring(node)]
    assert missing == []


def test_every_room_says_what_it_may_import():
    for room in ROOMS:
        text = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8")))
        assert "import" in text.lower(), room


@pytest.mark.parametrize("name", [name for name, path in SOURCES.items() if ">>>" in path.read_text(encoding="utf-8")])
def test_docstring_examples_run(name):
    dotted = name.removesuffix(".py").removeprefix("affecthub/").replace("/", ".")
    module = importlib.import_module(f"affecthub.{dotted}")
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.attempted and not result.failed


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    """A folder as after the quick start: an untrained model where the trained one would be, and a clip."""
    root = tmp_path_factory.mktemp("newcomer")
    sizes = ("--data.train_rows=6", "--data.validation_rows=2", "--data.test_rows=2")
    recipe = load_recipe("quickstart", f"--data.root={root / 'cache'}", *sizes)
    corpus = load_corpus(recipe.data, modalities_of(recipe.model))
    processor = build_processor(recipe, corpus)
    model = build_model(recipe, corpus, processor)
    for part in (model, processor):
        part.save_pretrained(root / "runs" / "quickstart" / "model")
    sample = render_sample_meld(root / "cache", train=6, dev=2, test=2)
    shutil.copy(next((sample / "train_splits").glob("*.mp4")), root / "clip.mp4")
    return root


@pytest.mark.parametrize("code", SNIPPETS)
def test_the_snippets_of_the_pages_run(code, newcomer):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=newcomer, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_readme_has_a_snippet_that_loads_a_model():
    assert any("from_pretrained" in parameter.values[0] for parameter in SNIPPETS)
