"""The Space's page without a browser: it shows what the pipeline says, and says so when there is nothing to show."""

import base64
import csv
import html
import json
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace

import gradio
import numpy as np
import pytest
import torch
from huggingface_hub import SpaceCard
from packaging.requirements import Requirement
from packaging.version import Version
from transformers import pipeline

from affecthub.evaluation.emotion_colours import BY_EMOTION, colours_of
from affecthub.hub.space import GRADIO, launch, space_files
from affecthub.hub.space_files import answer_page, app
from affecthub.media.for_processor import read_clip_for
from affecthub.modeling.configuration_base import Task

from .tiny import write_clip, write_folder

SYNTHETIC_CARD = "---\nlicense: apache-2.0\ntags: [synthetic]\n---\n# A tiny model\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("space") / "tiny"
    write_folder(folder)
    (folder / "README.md").write_text(SYNTHETIC_CARD)
    return folder


@pytest.fixture(scope="module")
def pipe(folder):
    return pipeline(model=str(folder), trust_remote_code=True)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return str(write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4"))


def last(shown):
    """What the page shows in the end: HTML of the verdict, and of table, timeline and downloads."""
    *_, (verdict, more) = shown
    return verdict, more.value


def cells(more):
    """Rows of a table's cells, the header first, without their keys."""
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr.*?</tr>", more, re.DOTALL)]
    return [[re.sub(r"<.*?>", "", cell) for cell in row] for row in rows]


def windows_of(more):
    """What the timeline knows of each window; nothing where there is no timeline."""
    return [one for text in re.findall(r'data-windows="(.*?)"', more) for one in json.loads(html.unescape(text))]


def downloaded(more):
    """Name -> content of the files that the page offers."""
    links = re.findall(r'download="(.*?)" href="data:.*?;base64,(.*?)"', more)
    return {name: base64.b64decode(content).decode() for name, content in links}


def test_the_page_shows_the_evaluated_pipelines_scores(pipe, clip):
    seen = []
    handle = pipe.model.register_forward_hook(lambda model, inputs, output: seen.append(output["logits"]))
    sentence, table = last(app.judge(pipe, clip, "hello world"))
    handle.remove()

    decoded = read_clip_for(pipe.processor, clip)
    sample = {"text": "hello world", "audio": decoded.audio, "video": decoded.frames}
    with torch.no_grad():
        logits = pipe.model(**pipe.processor.encode([sample])).logits
    assert len(seen) == 1 and torch.equal(seen[0], logits)

    answer = pipe({"video": clip, "text": "hello world"})
    probabilities = dict(zip(pipe.model.config.id2label.values(), logits.softmax(-1)[0].tolist(), strict=True))
    assert answer["scores"] == probabilities
    header, *rows = cells(table)
    assert header == ["label", "together", "text alone", "audio alone", "video alone"]
    for label, together, *alone in rows:
        assert together == answer_page.percent(probabilities[label])
        assert alone == [
            answer_page.percent(answer["modality_scores"][name][label]) for name in ("text", "audio", "video")
        ]
    best = max(probabilities, key=probabilities.get)
    assert sentence.startswith(f"<h2>{best}: {answer_page.percent(probabilities[best])}</h2>") and rows[0][0] == best
    assert "Judged by text, audio and video." in sentence and "No text" not in sentence
    assert json.loads(downloaded(table)["answer.json"])[0]["scores"] == probabilities


def test_what_is_missing_is_said(pipe, tmp_path):
    sentence, table = last(app.judge(pipe, str(write_clip(tmp_path / "mute.mp4", layout=None)), ""))
    assert "Judged by video." in sentence
    assert "<li>No text: no words were given.</li>" in sentence and "<li>No audio: no sound was found" in sentence
    assert cells(table)[0] == ["label", "together", "video alone"]


def test_words_alone_will_do(pipe):
    sentence, more = last(app.judge(pipe, None, "hello"))
    assert "Judged by text." in sentence and "No video" in sentence
    assert not windows_of(more)


def test_the_last_seconds_of_a_camera_are_judged(pipe, monkeypatch):
    picture, seen = np.full((48, 64, 3), 90, np.uint8), []
    clock = iter([0.0, 3.0, 5.0, 5.5])
    monkeypatch.setattr(app.time, "monotonic", lambda: next(clock))
    for _ in range(3):
        said, seen = app.watch(pipe, picture, seen)
    assert [moment for moment, _ in seen] == [3.0, 5.0]
    best = max((answer := pipe({"frames": [picture, picture]}))["scores"], key=answer["scores"].get)
    assert f"<h2>{best}: {100 * answer['scores'][best]:.1f} %</h2>" in said
    assert app.watch(pipe, None, seen) == (app.WATCHING, [])
    assert "Not judged" in app.watch(pipe, picture[..., :1], [])[0]
    said, seen = app.watch(pipe, np.zeros((2000, 3000, 3), np.uint8), seen)
    assert "have over 4,096,000 pixels" in said and seen == []


def test_a_path_in_the_box_for_words_is_words(pipe, clip):
    assert "Judged by text." in last(app.judge(pipe, None, clip))[0]


@pytest.mark.parametrize("content, words", [(b"this is text", "not a media file"), (b"", "empty (0 bytes)")])
def test_a_file_that_is_no_clip_is_a_sentence(content, words, pipe, tmp_path):
    (tmp_path / "fake.mp4").write_bytes(content)
    ((sentence, *rest),) = app.judge(pipe, str(tmp_path / "fake.mp4"), "")
    assert sentence.startswith("<p><strong>No answer:</strong> fake.mp4: ") and words in sentence
    assert str(tmp_path) not in sentence and "Traceback" not in sentence
    assert not any(part.visible for part in rest)


def test_nothing_at_all_is_a_sentence(pipe):
    ((sentence, *_),) = app.judge(pipe, None, "")
    assert "upload or record a clip first" in sentence


def window(number, audio=True, **more):
    """An answer as the pipeline's, to one window of 5 s."""
    joy = 0.1 + 0.8 * (number % 2)
    found = ["audio", "video"] if audio else ["video"]
    return {
        "start": 5.0 * number,
        "end": 5.0 * number + 5,
        "scores": {"joy": joy, "<b>other</b>": 1 - joy},
        "modalities": found,
        "missing": [] if audio else ["audio"],
        "warnings": [],
    } | more


def fake_pipe(windows, problem_type="single_label_classification", further=()):
    """Stands in for a pipeline that has a long clip to read."""
    tasks = [Task("label", ("joy", "<b>other</b>"), problem_type), *further]
    config = SimpleNamespace(problem_type=problem_type, modalities=["audio", "video"], tasks=tasks)
    processor = SimpleNamespace(modalities=["audio", "video"])
    model = SimpleNamespace(config=config)
    return SimpleNamespace(stream=lambda sample, **options: iter(windows), processor=processor, model=model, faults=())


def test_a_long_clip_becomes_a_timeline_that_grows(clip):
    windows = [window(number, audio=number != 3) for number in range(25)]
    pages = list(app.judge(fake_pipe(windows), clip, None))
    assert [len(windows_of(more.value)) for _, more in pages] == [10, 20, 25]
    sentence, more = last(pages)
    assert "Mean of 25 windows, 0 to 125 s." in sentence and "No audio in 1 of 25 windows." in sentence
    assert windows_of(more)[3] == {
        **{"start": 15.0, "end": 20.0, "middle": 17.5},
        "said": "15 to 20 s: joy 90.0 %, <b>other</b> 10.0 %. Judged by video; no audio.",
    }
    assert more.count('fill="url(#hatch') == 1  # the sound that is not there
    assert cells(more)[1] == ["&lt;b&gt;other&lt;/b&gt;", "51.6 %"]
    assert "<b>other" not in sentence + more
    rows = list(csv.DictReader(downloaded(more)["answer.csv"].splitlines()))
    assert len(rows) == 25 and rows[3] == {
        **{"start_s": "15.0", "end_s": "20.0", "joy": "0.9", "<b>other</b>": rows[3]["<b>other</b>"]},
        **{"video_found": "1", "audio_found": "0", "warnings": ""},
    }


def test_what_does_not_decide_and_what_disagrees_is_said_in_words():
    scores = {"joy": 0.4, "anger": 0.35, "fear": 0.25}
    alone = {"audio": {"joy": 0.2, "anger": 0.6, "fear": 0.2}, "video": {"joy": 0.8, "anger": 0.1, "fear": 0.1}}
    sentence, _ = last(app.judge(fake_pipe([window(0, scores=scores, modality_scores=alone)]), "clip.mp4", None))
    assert "It hardly decides: anger is nearly as likely as joy." in sentence
    assert "by chance each would have 33.3 %" in sentence
    assert "The modalities disagree: audio alone says anger (60.0 %) and video alone says joy (80.0 %)." in sentence
    sure = window(0, scores={"joy": 0.9, "fear": 0.1}, modality_scores=dict.fromkeys(alone, {"joy": 0.9, "fear": 0.1}))
    sentence, _ = last(app.judge(fake_pipe([sure]), "clip.mp4", None))
    assert "modalities agree" in sentence and "hardly" not in sentence and "by chance" not in sentence


def test_an_emotion_keeps_its_colour_whatever_its_rank():
    labels = ["neutral", "joy", "Anger", "happy", "tired", "bored"]
    colours = colours_of(labels)
    assert colours["joy"] == colours["happy"] == BY_EMOTION["joy"] and colours["Anger"] == BY_EMOTION["anger"]
    assert len({colours[label] for label in ("neutral", "joy", "Anger", "tired", "bored")}) == 5
    for number in (0, 1):
        _, more = last(app.judge(fake_pipe([window(number), window(number + 2)]), "clip.mp4", None))
        assert re.search(rf'background:{BY_EMOTION["joy"]}"></span>joy<', more)
        assert f'fill="{BY_EMOTION["joy"]}"' in more


def test_what_was_said_before_is_read_by_a_model_that_takes_turns(folder, tmp_path, clip):
    write_folder(tmp_path / "dialogue", "dialogue")
    talks = pipeline(model=str(tmp_path / "dialogue"), trust_remote_code=True)
    history = [{"speaker": "Ann", "text": "world"}, {"text": clip}]
    told = talks({"text": "hello", "speaker": "Ben", "history": history})["scores"]
    _, table = last(app.judge(talks, None, "Ben: hello", f"Ann: world\n\n{clip}\n"))
    assert cells(table)[1][:2] == [max(told, key=told.get), answer_page.percent(max(told.values()))]
    assert told != pytest.approx(talks("hello")["scores"], abs=1e-6)
    shown = [
        [box.visible for box in parts(app.open_page(str(model)), gradio.Textbox)]
        for model in (folder, tmp_path / "dialogue")
    ]
    assert shown == [[True, False], [True, True]]


@pytest.mark.parametrize(
    ("line", "turn"),
    [
        ("Ann: Hello", {"speaker": "Ann", "text": "Hello"}),
        ("Hello", {"text": "Hello"}),
        (": Hello", {"text": ": Hello"}),
        ("Ann:", {"text": "Ann:"}),
        ("What I wanted to say to you both: go", {"text": "What I wanted to say to you both: go"}),
    ],
)
def test_a_line_is_a_turn(line, turn):
    assert app.turn_of(line) == turn


def test_a_film_is_looked_at_for_ten_minutes():
    def film():
        yield from (window(number) for number in range(app.MAX_SECONDS // 5))
        yield window(app.MAX_SECONDS // 5)
        pytest.fail("the film was read on")

    sentence, more = last(app.judge(fake_pipe(film()), "film.mp4", None))
    assert "No more than 10 minutes are looked at." in sentence
    assert len(windows_of(more)) == app.MAX_SECONDS // 5


def test_a_regression_is_no_percentage_and_further_tasks_are_told_by_name():
    further = [
        Task("sentiment", ("negative", "positive")),
        Task("valence", ("valence",), "regression"),
        Task("mood", ("calm", "tense"), "regression"),
    ]
    told = {
        "sentiment": {"label": "positive", "scores": {"negative": 0.25, "positive": 0.75}},
        "valence": {"label": None, "scores": {"valence": -0.2}},
        "mood": {"label": None, "scores": {"calm": -1.5, "tense": 0.25}},
    }
    one = window(0, tasks=told) | {"scores": {"attention": 0.4126}}
    sentence, table = last(app.judge(fake_pipe([one], "regression", further), "clip.mp4", None))
    assert "calibrated" not in sentence
    calibrated = last(app.judge(fake_pipe([one | {"calibrated": True}], "regression", further), "clip.mp4", None))[0]
    assert "Probabilities are calibrated" in calibrated
    assert sentence.startswith("<h2>attention: 0.413</h2>")
    assert cells(table) == [["label", "score"], ["attention", "0.413"]]
    assert "Sentiment: positive 75.0 %, negative 25.0 %." in sentence
    assert "Valence: -0.200." in sentence and "Mood: tense 0.250, calm -1.500." in sentence
    two = [one, window(1, tasks=told | {"valence": {"label": None, "scores": {"valence": 0.6}}})]
    two[1]["scores"] = one["scores"]
    assert "Valence: 0.200." in last(app.judge(fake_pipe(two, "regression", further), "clip.mp4", None))[0]


def parts(page, kind):
    """The components of a kind on a page."""
    return [block for block in page.blocks.values() if isinstance(block, kind)]


def test_the_page_warns_and_keeps_nothing(folder):
    page = app.open_page(str(folder))
    text = " ".join(part.value for part in parts(page, gradio.Markdown))
    assert "Trained on synthetic people" in text
    assert all(word in text for word in ("hiring", "at work", "clinical", "Consent", "deleted"))
    assert page.delete_cache[1] <= app.KEPT_SECONDS and page.analytics_enabled is False
    assert page._queue.default_concurrency_limit == app.AT_ONCE > 1 and page._queue.max_size == app.WAITING


def test_a_model_that_only_hears_is_given_a_microphone(tmp_path, clip):
    write_folder(tmp_path / "hears", "unimodal_baseline", ["audio"])
    page = app.open_page(str(tmp_path / "hears"))
    assert parts(page, gradio.Audio)[0].sources == ["upload", "microphone"] and not parts(page, gradio.Video)
    assert not parts(page, gradio.Textbox)[0].visible
    text = " ".join(part.value for part in parts(page, gradio.Markdown))
    assert "synthetic" not in text and "It has no card" in text
    hears = pipeline(model=str(tmp_path / "hears"), trust_remote_code=True)
    sentence, *_ = last(app.judge(hears, clip, ""))
    assert "Judged by audio." in sentence


def test_the_space_is_whole(folder):
    files = space_files("someone/affect-model")
    pages = ["README.md", "answer_page.py", "app.py", "emotion_colours.py", "page.css", "page.js", "requirements.txt"]
    assert sorted(name for name in files if "/" not in name) == pages
    lines = json.loads(files["examples/lines.json"])
    assert {f"examples/{name}" for name in lines} == {name for name in files if name.endswith(".mp4")} and len(
        lines
    ) > 1
    data = SpaceCard(files["README.md"].decode()).data
    assert (data.sdk, data.sdk_version, data.app_file) == ("gradio", GRADIO, "app.py")
    assert data.models == ["someone/affect-model"] and data.license == "apache-2.0"
    source = files["app.py"].decode()
    compile(source, "app.py", "exec")
    assert source.count("someone/affect-model") == 1 and "owner/name" not in source
    assert not any(b"affecthub" in content for name, content in files.items() if name.endswith(".py"))


def test_the_space_installs_what_its_page_and_every_model_import(folder):
    lines = space_files("someone/model")["requirements.txt"].decode().splitlines()
    listed = {Requirement(line).name for line in lines}
    needed = set()
    for path in [*folder.glob("*.py"), Path(app.__file__)]:
        needed |= set(re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE))
    providers = packages_distributions()
    own = {"answer_page", "emotion_colours", "gradio", "onnxruntime"}  # the page does not ask an export
    for name in sorted(needed - sys.stdlib_module_names - own):
        assert listed & {Requirement(found).name for found in providers[name]}, name


def test_the_release_of_gradio_is_one_that_the_package_allows(request):
    pages = (request.config.rootpath / "pyproject.toml").read_text()
    allowed = Requirement(re.search(r'demo = \["(.*?)"\]', pages)[1])
    assert allowed.specifier.contains(Version(GRADIO)) and allowed.specifier.contains(gradio.__version__)


@pytest.mark.parametrize("name", ["a/b/c", "name with spaces", 'x"; import os #'])
def test_a_space_for_what_can_be_no_model_is_refused(name):
    with pytest.raises(ValueError, match="epo id"):
        space_files(name)


def test_a_folder_that_is_no_model_is_named(tmp_path):
    with pytest.raises((OSError, ValueError), match=str(tmp_path)):
        launch(tmp_path)


def test_without_gradio_one_is_told_what_to_install(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "affecthub.hub.space_files.app")
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ImportError, match=r"pip install 'affecthub\[demo\]'"):
        launch(tmp_path)
