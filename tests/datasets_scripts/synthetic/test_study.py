"""The synthetic study: GENEX's layout, seeded, resumable, and with an answer that is known."""

import json

import numpy as np
import pytest

from affecthub.datasets_scripts.genex.builder import FrameOptions, genex_manifest, load_genex
from affecthub.datasets_scripts.genex.study import FEATURES, TARGETS
from affecthub.datasets_scripts.synthetic.study import MARKER, render_sample_genex
from affecthub.datasets_scripts.synthetic.study_plan import (
    ATTENTION_PRIOR,
    ATTENTION_RELIABILITY,
    PARTICIPANTS,
    STIMULI,
    attention_optimum,
    draw_recording,
    realised_attention,
)
from affecthub.media.decode import probe, read_clip
from affecthub.media.pictures import read_image

SECONDS = 12


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return render_sample_genex(tmp_path_factory.mktemp("sample"), seconds=SECONDS)


@pytest.fixture(scope="module")
def built(study, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFECTHUB_CACHE", str(cache))
        options = {"frames": FrameOptions(crop_faces=False), "cache_dir": cache / "rows"}
        return load_genex(study, **options), genex_manifest(study, **options)


@pytest.fixture(scope="module")
def blocks():
    return {
        f"{name}/{stimulus}": draw_recording(name, stimulus, SECONDS, 0)
        for name in PARTICIPANTS
        for stimulus in STIMULI
    }


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_recordings_are_real_and_last_as_long_as_they_should(study):
    videos = sorted(study.glob("RespCam_*.mp4"))
    assert len(videos) == 10
    info = probe(videos[0])
    assert info.video_codec == "h264" and info.audio_codec == "aac" and info.fps == pytest.approx(30)
    assert info.duration == pytest.approx(SECONDS, abs=0.1)
    assert "synthetic" in videos[0].name and "synthetic" in study.name
    assert (study / "README.md").read_text().startswith("# Synthetic")


def test_the_same_seed_gives_the_same_bytes_and_a_broken_render_continues(study, tmp_path):
    again = render_sample_genex(tmp_path, seconds=SECONDS)
    assert content(again) == content(study)
    (again / MARKER).unlink()
    lost = sorted(again.glob("*.mp4"))[3]
    lost.unlink()
    kept = sorted(again.glob("*.mp4"))[0].stat().st_mtime_ns
    assert content(render_sample_genex(tmp_path, seconds=SECONDS)) == content(study)
    assert sorted(again.glob("*.mp4"))[0].stat().st_mtime_ns == kept


def test_nothing_is_found_wrong(built, blocks):
    rows, manifest = built
    assert len(rows) == 10 * (SECONDS + 1)
    counts = manifest.groupby("finding")["count"].sum().to_dict()
    away = sum(block.away for recording in blocks.values() for block in recording)
    assert counts.pop("no_face_seen", 0) == away
    assert counts.pop("no_annotation") == 10 + away  # nothing comes before the frame at 0 s
    assert counts == {"used": 10 * (SECONDS + 1), "other_table": 1, "never_mentioned": 22}


def test_every_frame_meets_its_own_second(built, blocks):
    rows, _ = built
    for row in rows:
        if row["time_ms"] == 0:
            assert not row["targets_present"] and not row["physio_present"]
            continue
        block = blocks[row["recording"]][round(row["time_ms"] / 1000) - 1]
        assert row["attention_label"] == (-1 if block.away else block.attention)
        values = dict(zip(FEATURES, row["physio_values"], strict=True))
        assert values["Fixation Density"] == (3 if block.cues["gaze"] else 1)
        assert values["GSR Peak Count"] == block.cues["gsr"]
        if not block.away:
            assert (values["Eye Widen"], values["Eye Closure"]) == (block.cues["eyes"], 1 - block.cues["eyes"])
            assert row["targets"][TARGETS.index("Attention")] == block.attention
            emotions = row["targets"][:7] + [row["targets"][TARGETS.index("Neutral")]]
            assert sum(emotions) == 1
        else:
            assert np.isnan(values["Eye Widen"]) and np.isnan(row["attention"]) and not row["targets_present"]


def test_the_picture_of_a_frame_shows_its_own_second(built, blocks):
    """Open eyes are white where shut ones are skin: the cue is read off the pixels."""
    rows, _ = built
    whites = {0: [], 1: []}
    for row in rows:
        block = blocks[row["recording"]][max(round(row["time_ms"] / 1000), 1) - 1]
        if row["time_ms"] and not block.away:
            eyes = read_image(row["image_path"])[20:38, 12:52].astype(int)
            whites[block.cues["video"]].append(int((eyes.min(axis=2) > 225).sum()))
    threshold = (np.mean(whites[0]) + np.mean(whites[1])) / 2
    right = sum(w < threshold for w in whites[0]) + sum(w >= threshold for w in whites[1])
    assert right / (len(whites[0]) + len(whites[1])) > 0.97


def test_the_sound_of_a_second_tells_its_cue(study, blocks):
    name = next(iter(blocks))
    clip = read_clip(study / f"RespCam_{name.replace('/', '_')}_(synthetic).mp4", video=False)
    seconds = clip.audio[: SECONDS * 16_000].reshape(SECONDS, -1)
    loud = np.sqrt((seconds[:, 3000:-3000] ** 2).mean(axis=1))
    high = np.array([block.cues["audio"] for block in blocks[name]], bool)
    assert loud[high].min() > loud[~high].max()


def test_the_known_answer_is_exact_and_what_was_drawn_agrees(study):
    facts = json.loads((study / MARKER).read_text())
    assert facts["synthetic"] and facts["bayes_accuracy"] == attention_optimum()
    assert facts["bayes_accuracy"]["video"] == ATTENTION_RELIABILITY["video"]
    assert facts["bayes_accuracy"]["physio"] < facts["bayes_accuracy"]["video+physio"]
    assert sum(ATTENTION_PRIOR) == 1
    many = [block for name in PARTICIPANTS for block in draw_recording(name, STIMULI[0], 4000, 3)]
    for subset, accuracy in realised_attention(many).items():
        assert accuracy == pytest.approx(attention_optimum()[subset], abs=0.01)


def test_no_participant_is_known_by_the_label():
    shares = [np.mean([b.attention for b in draw_recording(name, STIMULI[0], 4000, 3)]) for name in PARTICIPANTS]
    assert np.abs(np.array(shares) - 0.5).max() < 0.03


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"recordings": 3}])
def test_wrong_arguments_are_told(tmp_path, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        render_sample_genex(tmp_path, **wrong)
