"""The rendered sample corpus: MELD's layout, real clips, seeded, resumable, honest about what it is."""

import csv
import json
from dataclasses import replace

import av
import numpy as np
import pytest

from affecthub.datasets_scripts.meld.annotations import EMOTIONS
from affecthub.datasets_scripts.synthetic import utterances as sample_meld
from affecthub.datasets_scripts.synthetic.clip import render_clip
from affecthub.datasets_scripts.synthetic.plan import draw_split
from affecthub.datasets_scripts.synthetic.utterances import MARKER, render_sample_meld
from affecthub.media.files import write_file

SIZES = {"train": 12, "dev": 6, "test": 7}
FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return render_sample_meld(tmp_path_factory.mktemp("sample"), **SIZES)


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def decoded(clip):
    """Mono frames (frames, 64, 64) and samples of a file."""
    with av.open(clip) as container:
        frames = np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])
    with av.open(clip) as container:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    return frames, samples


def seconds(time):
    hours, minutes, rest = time.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))


@pytest.mark.parametrize("split", SIZES)
def test_layout_is_meld_s(corpus, split):
    rows = table(corpus / f"{split}_sent_emo.csv")
    assert ",".join(rows[0]) == (
        "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
    )
    assert [int(row["Sr No."]) for row in rows] == list(range(1, SIZES[split] + 1))
    clips = {path.name for path in (corpus / FOLDERS[split]).iterdir()}
    assert clips == {f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}.mp4" for row in rows}


def test_clips_are_h264_and_aac_and_last_as_annotated(corpus):
    for row in table(corpus / "dev_sent_emo.csv"):
        clip = corpus / FOLDERS["dev"] / f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}.mp4"
        annotated = seconds(row["EndTime"]) - seconds(row["StartTime"])
        with av.open(clip) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert (video.codec.name, audio.codec.name, audio.rate) == ("h264", "aac", 48_000)
            assert container.duration / 1e6 == pytest.approx(annotated, abs=0.03)
            assert "synthetic" in container.metadata["comment"]
        frames, samples = decoded(clip)
        assert len(frames) / 12.5 == pytest.approx(annotated, abs=1e-6)
        assert len(samples) / 48_000 == pytest.approx(annotated, abs=0.03)
        assert frames.std() > 10 and samples.std() > 0.005


def test_it_says_that_it_is_synthetic(corpus):
    assert corpus.name.startswith("synthetic_sample_meld-")
    facts = json.loads((corpus / MARKER).read_text())
    assert facts["synthetic"] is True and "synthetic" in (corpus / "README.md").read_text()


def test_facts_beside_the_corpus(corpus):
    facts = json.loads((corpus / MARKER).read_text())
    optimum = facts["bayes_accuracy"]
    assert len(optimum) == 7
    assert max(optimum[name] for name in ("text", "audio", "video")) <= 0.80
    assert optimum["text+audio+video"] >= 0.88
    cues = [row for row in table(corpus / "cues.csv") if row["split"] == "train"]
    follows_text = np.mean([row["cue_text"] == row["emotion"] for row in cues])  # the rule for one cue: believe it
    assert facts["realised_accuracy"]["train"]["text"] == pytest.approx(follows_text)
    assert [row["emotion"] for row in cues] == [row["Emotion"] for row in table(corpus / "train_sent_emo.csv")]
    assert {row["cue_video"] for row in cues} <= set(EMOTIONS)


def test_each_cue_changes_its_own_modality_alone(tmp_path):
    row = draw_split("test", 1, seed=0)[0]
    shown = {}
    for name, cues in {
        "calm": replace(row.cues, audio="neutral", video="neutral"),
        "loud": replace(row.cues, audio="anger", video="neutral"),
        "grin": replace(row.cues, audio="neutral", video="joy"),
    }.items():
        (tmp_path / name).write_bytes(render_clip(replace(row, cues=cues), 0))
        shown[name] = decoded(tmp_path / name)
    (face, voice), (same_face, loud), (grin, same_voice) = shown.values()
    assert np.array_equal(face, same_face) and not np.array_equal(voice, loud)
    assert np.array_equal(voice, same_voice) and not np.array_equal(face, grin)


def test_same_seed_same_bytes_and_a_complete_corpus_is_returned_at_once(corpus, tmp_path, monkeypatch):
    again = render_sample_meld(tmp_path, **SIZES, num_workers=1)
    assert again.name == corpus.name and content(again) == content(corpus)
    monkeypatch.setattr(sample_meld, "render_clip", None)  # would fail if it were called
    assert render_sample_meld(tmp_path, **SIZES) == again


def test_other_arguments_make_another_corpus(corpus, tmp_path):
    other = render_sample_meld(tmp_path, **SIZES, seed=1)
    assert other.name != corpus.name
    assert table(other / "train_sent_emo.csv") != table(corpus / "train_sent_emo.csv")


def test_interrupted_render_continues(corpus, tmp_path, monkeypatch):
    calls = []

    def stop_at_the_tenth(row, seed):
        calls.append(row.key)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return render_clip(row, seed)

    monkeypatch.setattr(sample_meld, "render_clip", stop_at_the_tenth)
    with pytest.raises(KeyboardInterrupt):
        render_sample_meld(tmp_path, **SIZES, num_workers=1)
    half = tmp_path / corpus.name
    done = set(half.rglob("*.mp4"))
    assert done and not (half / MARKER).exists()
    calls = [None] * 10
    assert content(render_sample_meld(tmp_path, **SIZES)) == content(corpus)
    assert len(calls) - 10 == sum(SIZES.values()) - len(done)


def test_default_root_is_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path / "cache"))
    assert render_sample_meld(train=1, dev=1, test=1).parent == tmp_path / "cache"


def test_full_disk_names_file_and_remedy(tmp_path, monkeypatch):
    def no_space(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", no_space)
    with pytest.raises(OSError, match=r"dia0_utt0\.mp4 was not written .No space left on device.; free space there"):
        write_file(tmp_path / "dia0_utt0.mp4", b"clip")
    assert not list(tmp_path.iterdir())


def test_empty_split_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one utterance, got .*'dev': 0"):
        render_sample_meld(tmp_path, dev=0)
