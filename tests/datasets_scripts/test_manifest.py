import os

import av
import numpy as np
import pytest

from affecthub.datasets_scripts.manifest import (
    STATUSES,
    Record,
    check_record,
    check_records,
    read_manifest,
    summarise,
    write_manifest,
)


def write_clip(path, seconds=1.2, *, video=True, audio=True, faststart=True):
    """An mp4 of grey frames at 25 Hz and silence at 48 kHz."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if faststart else {}) as container:
        if video:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width = stream.height = 32
        if audio:
            sound = container.add_stream("aac", rate=48_000, layout="stereo")
        if video:
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 128, np.uint8), format="rgb24")
            for index in range(round(seconds * 25)):
                frame.pts = index
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        if audio:
            samples = np.zeros((2, round(seconds * 48_000)), np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 48_000, 0
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return path


def row(file, annotated=1.2):
    return Record("train", "train/dia0_utt0", file, annotated_duration=annotated)


def test_a_sound_clip(tmp_path):
    write_clip(tmp_path / "a.mp4")
    checked = check_record(row("a.mp4"), tmp_path)
    assert (checked.status, checked.findings, checked.detail) == ("used", (), "")
    assert checked.video_present and checked.audio_present
    assert checked.stated_duration == pytest.approx(1.2, abs=0.03)


@pytest.mark.parametrize(
    ("options", "annotated", "findings"),
    [
        ({"audio": False}, 1.2, ("no_audio_track",)),
        ({"video": False}, 1.2, ("no_video_track",)),
        ({"seconds": 0.04}, 0.04, ("too_short",)),
        ({"seconds": 0.04}, 2.0, ("too_short", "duration_mismatch")),
        ({"seconds": 31}, 31.0, ("too_long",)),
        ({"seconds": 1.2}, 0.0, ("duration_mismatch",)),
        ({"seconds": 1.2, "audio": False}, 1.5, ("no_audio_track", "duration_mismatch")),
        ({"seconds": 1.2}, 1.4, ()),
    ],
)
def test_findings_that_leave_media_usable(tmp_path, options, annotated, findings):
    write_clip(tmp_path / "a.mp4", **options)
    checked = check_record(row("a.mp4", annotated), tmp_path)
    assert checked.findings == findings
    assert checked.video_present == options.get("video", True)
    assert checked.audio_present == options.get("audio", True)


def test_each_track_has_its_own_status(tmp_path):
    write_clip(tmp_path / "silent.mp4", audio=False)
    write_clip(tmp_path / "dark.mp4", video=False)
    silent, dark = (check_record(row(name), tmp_path) for name in ("silent.mp4", "dark.mp4"))
    assert (silent.video_status, silent.audio_status) == ("used", "no_audio_track")
    assert (dark.video_status, dark.audio_status) == ("no_video_track", "used")


def test_a_copy_that_was_cut_off_is_seen_although_it_states_its_whole_duration(tmp_path):
    raw = write_clip(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(raw[:-500])
    checked = check_record(row("a.mp4"), tmp_path)
    assert checked.findings == ("truncated",)
    assert checked.detail.startswith("500 bytes of media are missing")
    assert checked.video_present and checked.stated_duration == pytest.approx(1.2, abs=0.03)


def test_titles_in_another_encoding_do_not_matter(tmp_path):
    content = write_clip(tmp_path / "a.mp4").read_bytes()
    assert b"VideoHandler" in content
    (tmp_path / "a.mp4").write_bytes(content.replace(b"VideoHandler", b"VideoHandl\xe9r"))
    assert check_record(row("a.mp4"), tmp_path).status == "used"


def broken_files(folder):
    whole = write_clip(folder / "whole.mp4", faststart=False).read_bytes()
    return {
        "empty": b"",
        "text": b"this is no video",
        "noise": np.random.default_rng(0).bytes(5000),
        "no moov": whole[:-2000],
    }


@pytest.mark.parametrize("fault", ["empty", "text", "noise", "no moov"])
def test_broken_files_are_told_not_raised(tmp_path, fault):
    (tmp_path / "a.mp4").write_bytes(broken_files(tmp_path)[fault])
    checked = check_record(row("a.mp4"), tmp_path)
    assert checked.findings == ("broken",)
    assert not checked.video_present and not checked.audio_present
    assert checked.detail


def test_order_is_kept_and_a_row_without_a_file_is_missing(tmp_path):
    write_clip(tmp_path / "a.mp4")
    records = [row("a.mp4"), row(None), row("gone.mp4")] * 5
    assert [r.status for r in check_records(records, tmp_path)] == ["used", "missing", "broken"] * 5


def test_findings_stand_by_severity_whatever_their_order():
    record = (
        row("a.mp4")
        .with_finding("too_long", "40 s")
        .with_finding("truncated", "cut")
        .with_finding("in_two_splits", "")
    )
    assert record.findings == ("truncated", "too_long", "in_two_splits")
    assert record.status == "truncated"
    assert record.detail == "40 s; cut"


RECORDS = [
    Record("train", "train/dia0_utt0", "t/dia0_utt0.mp4", (), True, True, 1.25, 1.2, 2),
    Record("train", "train/dia0_utt1", None, ("missing",), annotated_duration=0.5, detail="no file"),
    Record("train", None, "t/._x.mp4", ("junk",), detail="AppleDouble"),
    Record("dev", "dev/dia0_utt0", "d/dia0_utt0.mp4", ("too_long", "duration_mismatch"), True, False, 40.0, 2.0),
]


def test_round_trip(tmp_path):
    write_manifest(RECORDS, tmp_path / "new", notes="\nnotes of the builder\n")
    manifest = read_manifest(tmp_path / "new")
    assert manifest.equals(read_manifest(tmp_path / "new/manifest.parquet"))
    assert list(manifest.status) == ["used", "missing", "junk", "too_long"]
    assert [list(f) for f in manifest.findings] == [[], ["missing"], ["junk"], ["too_long", "duration_mismatch"]]
    assert list(manifest.key.isna()) == [False, False, True, False]
    assert list(manifest.file.isna()) == [False, True, False, False]
    assert manifest.stated_duration[0] == 1.25 and np.isnan(manifest.stated_duration[1])
    assert sorted(os.listdir(tmp_path / "new")) == ["manifest.md", "manifest.parquet"]
    assert (tmp_path / "new/manifest.md").read_text().endswith("\nnotes of the builder\n")


def test_a_manifest_of_strays_alone_keeps_its_columns(tmp_path):
    write_manifest(RECORDS[2:3], tmp_path / "strays")
    write_manifest(RECORDS, tmp_path / "all")
    strays, everything = read_manifest(tmp_path / "strays"), read_manifest(tmp_path / "all")
    assert list(strays.columns) == list(everything.columns)
    assert len(strays) == 1 and strays.key.isna().all()
    assert "0 rows" in summarise(strays)


def test_a_full_disk_leaves_the_old_manifest(tmp_path, monkeypatch):
    write_manifest(RECORDS, tmp_path)

    def fail(writer, table):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("affecthub.datasets_scripts.manifest.pq.ParquetWriter.write_table", fail)
    with pytest.raises(OSError, match="No space left on device"):
        write_manifest(RECORDS[:1], tmp_path)
    assert len(read_manifest(tmp_path)) == 4
    assert sorted(os.listdir(tmp_path)) == ["manifest.md", "manifest.parquet"]


def test_summary_counts_and_lists(tmp_path):
    write_manifest(RECORDS, tmp_path)
    text = summarise(read_manifest(tmp_path))
    assert "3 rows (2 with pictures, 1 with sound) and 1 stray files" in text
    assert "| status | train | dev | meaning |" in text
    assert f"| too_long | 0 | 1 | {STATUSES['too_long']} |" in text
    assert "- train: 2 Windows-1252 characters mended, in 1 texts" in text
    assert "## junk: 1\n\n- `t/._x.mp4`: AppleDouble" in text
    assert "## used" not in text


def test_summary_says_how_many_it_left_out(tmp_path):
    write_manifest([RECORDS[1]] * 7, tmp_path)
    assert summarise(read_manifest(tmp_path), examples=5).count("train/dia0_utt1") == 5
    assert "- and 2 more" in summarise(read_manifest(tmp_path), examples=5)
