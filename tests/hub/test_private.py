"""What is published names nobody and no place: every byte that a Hub is sent is searched."""

import json
import os
import re
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from affecthub.datasets_scripts.clips.corpus import Clips
from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.evaluation.private import KEY_FILE, Pseudonyms, is_place, renamed, secret_key, without_paths
from affecthub.evaluation.scores import score
from affecthub.hub.markdown import plain
from affecthub.hub.model_folder import Finished, save_run
from affecthub.hub.publish import publish_model
from affecthub.hub.publish_dataset import publish_dataset
from affecthub.training.recipe import load_recipe, write_recipe

from .test_stranger import build

NAME = "tester/mine"
PEOPLE = ["Jane Doe", "Zoë Müller", "Ann Lee", "Bob Ray"]
HOSTILE = "![joy](http://example.org/x.png)<script>|`"
PLACES = (
    r"\\server\share\Jane Doe\table.csv",
    "~janedoe/study/table.csv",
    "/home/jane doe/study/my table.csv",
    "data/jane_doe/study",
    "file:///srv/jane_doe/x",
    r"C:\Users\Jane Doe\enc",
)
SECRET = re.compile(r"jane|doe\b|müller|zoë|bob ray|ann lee|server.share|/tmp/|secret study", re.IGNORECASE)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Somebody's recordings, in a folder, in files and in rows that all carry names."""
    root = tmp_path_factory.mktemp("home") / "Jane Doe" / "Müller's secret study"
    lines = ["file,text,participant,label,recording"]
    for i in range(16):
        who = PEOPLE[i % 4]
        (root / who).mkdir(parents=True, exist_ok=True)
        soundfile.write(root / who / f"{who} {i}.wav", np.random.default_rng(i).normal(0, 0.1, 800), 8000)
        label = HOSTILE if i % 3 else "calm"
        lines.append(f'{who}/{who} {i}.wav,line {i},{who},"{label}",{who} at home')
    (root / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFECTHUB_CACHE", str(root.parent / "cache"))
        data = Clips(str(root / "table.csv"), kinds={"label": "label"})
        yield data, load_corpus(data, ["text", "audio"])


def saved(corpus, folder):
    """A run of an untrained model on these rows, saved as train.py saves it."""
    data, rows = corpus
    labels = rows.targets[0].labels
    truth = np.array([0, 1] * 8)
    scores = score(truth, np.eye(2)[truth], [0, 1], labels, "single_label", seed=0)
    finding = {"check": "same_recording", "severity": "warning", "count": 1, "accepted": False}
    finding |= {"message": "Zoë Müller's /srv/Jane Doe/a b.wav is on both sides", "remedy": "leave it out"}
    results = {
        "data": {"name": rows.name, "synthetic": False, "splits": {"train": 8, "test": 8}, "unit": "clips"},
        "task": {"label": labels},
        "results": {"test": {"label": scores}},
        "model": {"parameters": 1},
        "audit": [finding | {"examples": ["Bob Ray/Bob Ray 3.wav", "Ann Lee"]}],
    }
    results["data"] |= {"skipped": {"broken: Jane Doe 7.wav": 1}, "protocol": "fold 0: Zoë Müller"}
    options = [f"--data.root={data.root}", f"--model.text_encoder={PLACES[-1]}", "--data=Clips"]
    recipe = load_recipe("quickstart", *options, f"--data.media_root={PLACES[0]}")
    object.__setattr__(recipe.data, "raters", {"label": ["Jane Doe", "Otto Rater"]})
    model, processor = build("unimodal_baseline", ["text"])
    args = SimpleNamespace(metric_for_best_model=None)
    trainer = SimpleNamespace(state=SimpleNamespace(log_history=[{"epoch": 1.0, "loss": 1.0}]), args=args)
    save_run(folder / "model", Finished(trainer, model, processor, rows, recipe, results, 1.0))
    write_recipe(recipe, folder)


def everything(hub):
    """Address -> text of every file of every repository; of Parquet its rows and metadata."""
    for (kind, name), repo in hub.repos.items():
        for path, blob in repo.at("main").files.items():
            said = blob.data.decode("utf-8", "replace")
            if path.endswith(".parquet"):
                table = pq.read_table(BytesIO(blob.data))
                said += json.dumps(table.to_pylist(), ensure_ascii=False, default=str) + str(table.schema.metadata)
            yield f"{kind} {name}: {path}", said


def test_no_name_and_no_place_in_any_byte_of_model_space_and_data_set(corpus, hub, tmp_path):
    run = tmp_path / "Jane Doe" / "run ü"
    saved(corpus, run)
    publish_model(run / "model", NAME, with_space=True)
    publish_dataset(corpus[1], "tester/rows", include_media=True)
    files = dict(everything(hub))
    assert {"model", "space", "dataset"} <= {address.split()[0] for address in files}
    home = str(Path.home())
    for address, said in files.items():
        text = said if not address.endswith(".py") else said.replace("/tmp/", "")
        found = [said for said in SECRET.findall(text) if said] + [home] * (f"{home}/" in text)
        assert not found, (address, found)
    card = files[f"model {NAME}: README.md"]
    assert "own data" in card.lower() and "(local path)" in card and "P-" in card and "<script" not in card
    assert "Otto Rater" not in "".join(files.values())
    assert "![joy]" not in card.replace(plain(HOSTILE), "")
    rows = json.loads(files[f"model {NAME}: metrics.json"])
    assert len(rows["audit"][0]["examples"]) == 2
    assert all(re.match(r"[PRK]-[a-z2-7]{10}", text) for text in rows["audit"][0]["examples"])


def test_pseudonyms_are_those_of_the_rows_and_stay_the_same(corpus, hub):
    publish_dataset(corpus[1], "tester/rows")
    publish_dataset(corpus[1], "tester/again")
    publish_dataset(corpus[1], "tester/named", keep_names=True)
    tables = {}
    for name in ("rows", "again", "named"):
        files = hub.files(f"tester/{name}", kind="dataset")
        parts = [pq.read_table(BytesIO(files[path])) for path in sorted(files) if path.endswith(".parquet")]
        tables[name] = [row for part in parts for row in part.to_pylist()]
    assert tables["rows"] == tables["again"]
    both = zip(tables["rows"], tables["named"], strict=True)
    told = {row["participant"]: named["participant"] for row, named in both}
    assert sorted(told.values()) == sorted(PEOPLE) and all(re.fullmatch(r"P-[a-z2-7]{10}", name) for name in told)
    assert len({row["key"] for row in tables["rows"]}) == 16
    assert [row["text"] for row in tables["rows"]] == [row["text"] for row in tables["named"]]


def test_a_name_in_another_column_is_refused(corpus, hub):
    _, rows = corpus
    splits = {name: part.add_column("note", ["with Ann Lee"] * len(part)) for name, part in rows.splits.items()}
    object.__setattr__(rows, "splits", splits)
    with pytest.raises(ValueError, match="'note' .* holds the name of a participant") as caught:
        publish_dataset(rows, NAME)
    assert "Ann" not in str(caught.value) and hub.requests == []
    object.__setattr__(rows, "splits", {name: part.remove_columns("note") for name, part in splits.items()})


def test_the_key_is_made_once_for_its_owner_and_decides_everything(tmp_path):
    first = secret_key(tmp_path)
    assert secret_key(tmp_path) == first and len(first) == 64
    assert os.stat(tmp_path / KEY_FILE).st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]
    said = {Pseudonyms(study, key).of("participant", "Jane") for study in "ab" for key in (first, b"other")}
    assert len(said) == 4
    (tmp_path / KEY_FILE).write_bytes(b"")
    with pytest.raises(OSError, match="no key of pseudonyms"):
        secret_key(tmp_path)


@pytest.mark.parametrize("place", PLACES)
def test_a_place_is_known_as_a_value_and_within_a_text(place):
    assert is_place("root", place) and is_place("", place)
    assert not SECRET.search(without_paths(f"It is {place}, said he; and '{place}'.", [place]))


@pytest.mark.parametrize("text", ["owner/name", "N/A", "joy/anger", "https://example.org/a/b/c", "1/2 of it", "a / b"])
def test_what_is_no_place_stays(text):
    assert not is_place("", text) and without_paths(f"So {text}.") == f"So {text}."


def test_names_are_whole_words_in_any_spelling_of_unicode():
    names = {"Zoë": "P-a", "Zoë B": "P-b", "7": "P-c"}
    assert renamed("Zoë B, Zoe\u0308, Zoës and 7", names) == "P-b, P-a, Zoës and 7"


def test_no_link_leads_out_of_a_published_folder(model_folder, hub, tmp_path):
    (tmp_path / "elsewhere.json").write_text('{"secret": 1}')
    (model_folder / "notes.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ValueError, match="notes.json is a link"):
        publish_model(model_folder, NAME)
    assert hub.requests == []


def test_a_known_path_in_any_file_stops_the_publication(model_folder, hub):
    (model_folder / "notes.txt").write_text(f"made in {model_folder.parent}/x")
    with pytest.raises(ValueError, match=r"notes.txt holds .*, a path of this machine"):
        publish_model(model_folder, NAME)
    assert hub.requests == []
