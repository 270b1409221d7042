"""The command line: tables, JSON, CSV and pictures out; bad input is one line and exit status 2."""

import csv
import io
import json
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import cv2
import datasets
import pytest
from matplotlib.figure import Figure
from transformers import BertConfig

from affecthub.datasets_scripts.synthetic.utterances import render_sample_meld
from affecthub.evaluation.pictures import plot_timeline
from affecthub.hub import cli, publish, publish_dataset, space
from affecthub.hub.remote_code import add_travelling_code
from affecthub.inference.pipeline_affect import AffectRecognitionPipeline
from affecthub.inference.predict import load_pipeline

from ..evaluation.studies import write_sweep
from .conftest import write_model_folder
from .tiny import write_clip, write_folder, write_long_clip

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a model, a clip and a long clip."""
    root = tmp_path_factory.mktemp("cli")
    write_folder(root / "model", max_seconds=5.0)
    write_folder(root / "watcher", "unimodal_baseline", ["video"])
    write_clip(root / "clip.mp4")
    write_long_clip(root / "long.mp4", seconds=12, sound=4)
    return root


@pytest.fixture
def run(files, monkeypatch, capsys):
    """A function: exit status, stdout and stderr of a command that runs in that folder."""
    monkeypatch.chdir(files)

    def call(*arguments):
        status = cli.main(arguments)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def test_a_table(run):
    status, out, _ = run("predict", "clip.mp4", "long.mp4", "--model", "model")
    assert status == 0
    header, *lines = out.splitlines()
    assert header.split() == ["input", "from", "s", "to", "s", "label", "scores", "judged", "by", "missing"]
    assert [line.split()[:3] for line in lines] == [
        ["clip.mp4", "0.0", "1.0"],
        ["long.mp4", "0.0", "5.0"],
        ["long.mp4", "5.0", "10.0"],
        ["long.mp4", "10.0", "12.0"],
    ]
    assert "audio + video" in lines[0] and lines[-1].endswith("text + audio")


def test_json_holds_everything_that_the_pipeline_says(run, files):
    status, out, _ = run("predict", "long.mp4", "--model", "model", "--format", "json", "--window", "4", "--hop", "2")
    pipe = load_pipeline(str(files / "model"))
    assert isinstance(pipe, AffectRecognitionPipeline)
    assert status == 0
    answers = json.loads(json.dumps(pipe("long.mp4", window_seconds=4, hop_seconds=2)))
    inputs = [{"input": "long.mp4", "answers": answers}]
    assert json.loads(out) == {"version": 1, "model": "model", "synthetic": False, "inputs": inputs}


def test_csv_and_a_picture(run, files):
    picture, table = files / "timeline.png", files / "timeline.csv"
    status, out, _ = run(
        *("predict", "long.mp4", "--model", "model", "--format", "csv"),
        *("--output", str(table), "--picture", str(picture)),
    )
    assert (status, out) == (0, "")
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [row["end"] for row in rows] == ["5.0", "10.0", "12.0"]
    assert sum(float(rows[0][f"score_LABEL_{i}"]) for i in range(7)) == pytest.approx(1)
    assert [row["modalities"] for row in rows] == ["audio+video", "video", "video"]
    assert cv2.imread(str(picture)).std() > 1


def test_the_picture_shows_scores_and_what_was_found(tmp_path, monkeypatch):
    figures, savefig = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **kw: (figures.append(self), savefig(self, *a, **kw)))
    labels = [f"label {number}" for number in range(10)]
    answers = [
        {
            "start": start,
            "end": start + 2,
            "scores": {label: place / 10 for place, label in enumerate(labels)},
            "modalities": found,
            "missing": [name for name in ("audio", "video") if name not in found],
        }
        for start, found in ((0, ["audio", "video"]), (2, ["video"]), (4, ["audio", "video"]))
    ]
    plot_timeline(answers, tmp_path / "timeline.png", "An interview")
    scores, found = figures[0].axes
    assert scores.get_ylim() == (0, 1)
    assert [line.get_label() for line in scores.lines] == labels[2:]
    assert scores.lines[0].get_xydata().tolist() == [[1, 0.2], [3, 0.2], [5, 0.2]]
    assert scores.get_title() == "the 8 highest of 10 labels"
    assert [tick.get_text() for tick in found.get_yticklabels()] == ["audio", "video"]
    assert [len(bars.get_paths()) for bars in found.collections] == [2, 3]
    plot_timeline(answers[:1], tmp_path / "one.png", "A clip")
    assert len(figures[1].axes[0].patches) == 8


def test_a_text_alone_and_with_a_clip(run, files):
    status, out, _ = run("predict", "--text", "hello world", "--model", "model", "--picture", str(files / "text.png"))
    assert status == 0 and "(text)" in out and (files / "text.png").is_file()
    status, out, _ = run("predict", "clip.mp4", "--text", "hello world", "--model", "model")
    assert status == 0 and "text + audio + video" in out


def test_one_bad_file_does_not_stop_the_others(run, files):
    (files / "bad.mp4").write_bytes(b"")
    status, out, err = run("predict", "bad.mp4", "clip.mp4", "--model", "model")
    assert status == 2 and "clip.mp4" in out
    assert err == "affecthub: error: bad.mp4: the file is empty (0 bytes); copy or download it again\n"


def test_a_folder_is_one_table_and_an_interrupted_call_goes_on(run, files, monkeypatch):
    folder, table = files / "recordings" / "day 1", files / "answers.csv"
    folder.mkdir(parents=True)
    for name in ("a.mp4", "b.mp4", ".hidden.mp4"):
        write_clip(folder / name)
    (folder / "c.WAV").write_bytes(b"")
    (folder / "notes.txt").write_text("no recording")
    call = ("predict", "recordings", "--model", "model", "--format", "csv", "--output", str(table))
    status, _, err = run(*call, "--processes", "2")
    assert status == 2 and err.count("\n") == 1 and "c.WAV: the file is empty" in err
    by_two = table.read_text()
    assert [row["input"] for row in csv.DictReader(io.StringIO(by_two))] == [
        f"recordings/day 1/{name}.mp4" for name in "ab"
    ]
    table.unlink()
    kept = files / "answers.csv.progress" / "answers.jsonl"
    kept.write_text(kept.read_text() + '{"input": "recordings/day 1/c.WAV", "sta')  # what a killed process leaves
    monkeypatch.setattr(AffectRecognitionPipeline, "stream", None)  # nothing is judged again
    (folder / "c.WAV").unlink()
    assert run(*call, "--window", "1")[0] == 2 and not table.exists()
    assert run(*call)[0] == 0 and table.read_text() == by_two and not kept.parent.exists()


def write_foreign(folder, config):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.mp4", "--model", "model"], "nowhere.mp4: cannot be opened"),
        (["clip.mp4", "--model", "nowhere/at/all"], "nowhere/at/all"),
        (["clip.mp4", "--model", "someone/nothing"], "someone/nothing"),
        (["clip.mp4", "--model", "empty"], "empty"),
        (["clip.mp4", "--model", "bert"], "bert: a bert model, and none that this package makes"),
        (["clip.mp4", "--model", "foreign"], "foreign: brings code of its own"),
        (["clip.mp4", "--model", "broken"], "config.json"),
        (["clip.mp4", "--model", "model", "--device", "abacus"], "device 'abacus'"),
        (["clip.mp4", "--model", "model", "--window", "0"], "window_seconds=0.0"),
        (["clip.mp4", "--model", "model", "--output", "nowhere/x.csv"], "x.csv was not written"),
        (["clip.mp4", "long.mp4", "--model", "model", "--picture", "x.png"], "there are 2"),
        (["clip.mp4", "--model", "watcher", "--text", "hello"], "this model takes ['video']: leave it out"),
        (["--model", "model"], "Nothing to judge"),
        (["--model", "model", "--text", "caf\udce9"], "not valid Unicode"),
    ],
)
def test_bad_input_is_one_line(run, files, arguments, said):
    (files / "empty").mkdir(exist_ok=True)
    write_foreign(files / "bert", BertConfig().to_dict())
    code = {"auto_map": {"AutoConfig": "evil.EvilConfig"}, "model_type": "evil"}
    write_foreign(files / "foreign", code)
    (files / "foreign" / "evil.py").write_text("raise SystemExit('this code ran')")
    (files / "broken").mkdir(exist_ok=True)
    (files / "broken" / "config.json").write_text("{")
    status, out, err = run("predict", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("affecthub: error: ") and err.count("\n") == 1
    assert said in err


def test_weights_that_are_cut_off(run, files, tmp_path):
    write_folder(tmp_path / "model", "frame_cnn")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    status, _, err = run("predict", "clip.mp4", "--model", str(tmp_path / "model"))
    assert status == 2 and err.count("\n") == 1


def test_a_model_on_the_hub(run, hub, tmp_path):
    write_model_folder(tmp_path / "tiny")
    add_travelling_code(tmp_path / "tiny")
    assert run("publish", str(tmp_path / "tiny"), "tester/tiny")[0] == 0
    status, out, _ = run("predict", "clip.mp4", "--model", "tester/tiny", "--format", "json")
    assert status == 0
    assert out == run("predict", "clip.mp4", "--model", str(tmp_path / "tiny"), "--format", "json")[1].replace(
        str(tmp_path / "tiny"), "tester/tiny"
    )
    for name, revision in (("tester/nothing", "main"), ("tester/tiny", "v9")):
        status, out, err = run("predict", "clip.mp4", "--model", name, "--revision", revision)
        assert (status, out) == (2, "")
        assert err.startswith(f"affecthub: error: {name}: cannot be loaded: ") and err.count("\n") == 1


def test_publishing_is_private_unless_asked(run, files, monkeypatch):
    calls = []
    monkeypatch.setattr(
        publish, "publish_model", lambda *args, **kwargs: calls.append((args, kwargs)) or "the address"
    )
    assert run("publish", "model", "owner/name")[:2] == (0, "the address\n")
    assert run("publish", "model", "owner/name", "--public", "--with-space")[0] == 0
    assert calls == [
        ((Path("model"), "owner/name"), {"private": True, "with_space": False, "trust_remote_code": False}),
        ((Path("model"), "owner/name"), {"private": False, "with_space": True, "trust_remote_code": False}),
    ]


def test_the_page_wants_the_code_to_be_trusted(run, monkeypatch):
    calls = []
    monkeypatch.setattr(space, "launch", lambda *args: calls.append(args))
    status, _, err = run("demo", "--model", "model")
    assert status == 2 and "pass --trust-remote-code" in err and not calls
    assert run("demo", "--model", "model", "--trust-remote-code", "--port", "8080")[0] == 0
    assert calls == [("model", 8080)]


def test_publishing_what_is_no_model(run):
    status, _, err = run("publish", "nowhere", "owner/name")
    assert status == 2 and "nowhere" in err and err.count("\n") == 1


@pytest.mark.parametrize("command", ["predict", "compare", "publish", "demo"])
def test_help_teaches_by_example(command, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0
    assert f"examples:\n  affecthub {command} " in capsys.readouterr().out


def test_no_command_and_a_wrong_option(capsys):
    for arguments in ([], ["predict", "clip.mp4"], ["predict", "--frobnicate"]):
        with pytest.raises(SystemExit) as left:
            cli.main(arguments)
        assert left.value.code == 2
    assert "usage: affecthub" in capsys.readouterr().err


def test_the_program_runs(files):
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["affecthub"]
    module, function = script.split(":")
    code = f"import sys; from {module} import {function}; sys.exit({function}())"
    command = [sys.executable, "-c", code, "predict", "clip.mp4", "--model", "model"]
    done = subprocess.run(command, cwd=files, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "clip.mp4" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--help", "From your own recordings"),
        ("trian", "invalid choice: 'trian'"),
        ("predict --help", "Exit status: 0; 2 if"),
        ("inspect clips --help", "Columns of numbers that make the vector of features"),
        ("inspect mled x", "did you mean meld?"),
        ("prepare meld x y --shard-rws=3", "unrecognized arguments: --shard_rws=3"),
        ("sweep quikstart", "affecthub sweep: there is no recipe 'quikstart'; did you mean quickstart?"),
        ("train --help", "Peak rate of everything but the encoders"),
        ("train --recipe quikstart", "affecthub train: there is no recipe 'quikstart'; did you mean quickstart?"),
        ("quickstart --training.epoch=3", "affecthub quickstart: unknown option --training.epoch; did you mean"),
        ("evaluate --output-dir=x --data.rot=y", "affecthub evaluate: unknown option --data.rot of SampleMeld"),
    ],
)
def test_help_and_mistakes_are_told_before_libraries_are_loaded_that_take_seconds(arguments, said):
    slow = "{'torch', 'transformers', 'datasets', 'pandas', 'sklearn'}"
    code = "import sys; from affecthub.hub.cli import main; import atexit\natexit.register(lambda: print("
    code += f"'loaded', {slow} & sys.modules.keys()))\nsys.exit(main({arguments.split()!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert said in " ".join((done.stdout + done.stderr).split())
    assert done.stdout.endswith("loaded set()\n")


def test_the_module_runs_and_tells_its_version():
    command = [sys.executable, "-m", "affecthub", "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout == f"affecthub {version('affecthub')}\n"


def test_the_rows_of_a_data_set_are_published_without_media(run, monkeypatch, tmp_path):
    called = []
    monkeypatch.setattr(publish_dataset, "publish_dataset", lambda *a, **k: called.append((a, k)) or "https://hub/x")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    root = render_sample_meld(tmp_path, train=2, dev=1, test=1)
    assert run("publish-dataset", "meld", str(root), "owner/rows")[:2] == (0, "https://hub/x\n")
    ((corpus, repo_id), options) = called[0]
    assert {name: len(rows) for name, rows in corpus.splits.items()} == {"train": 2, "validation": 1, "test": 1}
    assert corpus.card.license == "gpl-3.0"
    assert repo_id == "owner/rows" and options["private"] and not options["include_media"]
    status, _, err = run("publish-dataset", "meld", str(tmp_path / "gone"), "owner/rows")
    assert status == 2 and "gone: no such folder" in err


def test_a_data_set_is_inspected_with_options_of_its_own(run, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    sizes = ("--train-rows=5", "--validation_rows", "2", "--test-rows=2")
    status, out, _ = run("inspect", "sample_meld", str(tmp_path), *sizes, "--targets=[emotion,sentiment]")
    assert status == 0 and "| with video | 5 | 2 | 2 |" in out and "sentiment (single label classification)" in out
    assert "| unknown | 0 | 0 | 0 |" in out and "participants" in out and "# Manifest" in out
    assert run("inspect", "mled", str(tmp_path))[2].endswith("there is no data set 'mled'; did you mean meld?\n")
    with pytest.raises(SystemExit):
        cli.main(["inspect", "--help"])
    assert "data sets, each with options of its own" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["inspect", "genex", "--help"])
    help_page = " ".join(capsys.readouterr().out.split())
    assert "Take every so-many-th frame" in help_page and "twin_policy" not in help_page
    with pytest.raises(SystemExit):
        cli.main(["inspect", "sample_meld", str(tmp_path), "--evry=3"])
    assert "unrecognized arguments: --evry=3" in capsys.readouterr().err


def test_a_model_of_synthetic_people_says_so(run, files):
    card = files / "watcher" / "README.md"
    assert "synthetic" not in run("predict", "clip.mp4", "--model", "watcher")[2]
    card.write_text("---\ntags: [affecthub, synthetic]\n---\n# A card\n", encoding="utf-8")
    status, out, err = run("predict", "clip.mp4", "--model", "watcher", "--picture", "one.png")
    assert status == 0 and "watcher was trained on synthetic people alone" in err
    assert "synthetic" not in out
    assert json.loads(run("predict", "clip.mp4", "--model", "watcher", "--format", "json")[1])["synthetic"]
    card.unlink()


def test_runs_are_compared(run, tmp_path):
    for name, noise in (("sharp", 0.1), ("blurred", 3.0)):
        write_sweep(tmp_path / name, noise=noise, name=name, seeds=1)
    both = (str(tmp_path / "sharp"), str(tmp_path / "blurred"))
    status, out, err = run("compare", *both)
    assert (status, err) == (0, "") and "sharp is better than blurred, by " in out and "8 of them" in out
    assert run("compare", *both, "--by", "recording", "--metric", "f1_macro", "--format", "json")[0] == 0
    assert run("compare", *both, "--format", "json", "--output", str(tmp_path / "found.json"))[1] == ""
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert (found["version"], found["synthetic"]) == (1, True)
    assert found["pairs"][0]["better"] == "sharp" and "<b>Zoë</b> 0" in found["models"][0]["by_participant"]
    status, out, err = run("compare", *both, "--metric", "mae")
    assert (status, out) == (2, "") and "--metric mae: mood is judged by accuracy" in err
