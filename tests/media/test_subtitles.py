"""Subtitles, in a file beside a recording or in a track of its own, are the words of each window."""

import io

import av
import pytest

from affecthub.hub import cli
from affecthub.inference.predict import judge, load_pipeline
from affecthub.media.container import HeldFile, MediaError
from affecthub.media.limits import Limits
from affecthub.media.subtitles import Line, subtitles_for, words_in

from ..hub.tiny import write_folder, write_long_clip

SRT = (
    "1\n00:00:00,500 --> 00:00:02,000\n<i>So glad</i> you came!\n\n2\n00:00:05,000 --> 00:00:06,500\nFine.\nReally é\n"
)
VTT = "WEBVTT\n\n00:00.500 --> 00:02.000\n<v Bob>So glad you came!\n\n00:05.000 --> 00:06.500\nFine. Really é\n"
LINES = [Line(0.5, 2.0, "So glad you came!"), Line(5.0, 6.5, "Fine. Really é")]


def write_track(clip, target, kind):
    """The clip with a track of subtitles inside."""
    with av.open(clip) as read, av.open(io.BytesIO(SRT.encode())) as said, av.open(target, "w") as written:
        sources = [*read.streams, said.streams[0]]
        streams = {s: written.add_stream_from_template(s) for s in sources}
        packets = [p for c in (said, read) for p in c.demux() if p.dts is not None]
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            packet.stream = streams[packet.stream]
            written.mux(packet)


@pytest.mark.parametrize("kind", ["srt", "vtt", "inside", "none"])
def test_the_words_of_each_window(kind, tmp_path):
    clip = write_long_clip(tmp_path / "clip.mkv", seconds=8, sound=8)
    if kind == "inside":
        write_track(clip, tmp_path / "said.mkv", kind)
        clip = tmp_path / "said.mkv"
    elif kind != "none":
        clip.with_suffix(f".{kind}").write_text(SRT if kind == "srt" else VTT, encoding="utf-8")
    lines = subtitles_for(HeldFile(clip))
    assert [line.text for line in lines] == ([] if kind == "none" else [line.text for line in LINES])
    for line, told in zip(lines, LINES, strict=False):  # the track of sound inside begins a little before 0
        assert (line.start, line.end) == pytest.approx((told.start, told.end), abs=0.03 if kind == "inside" else 1e-6)
    expected = [None, None] if kind == "none" else [LINES[0].text, LINES[1].text]
    assert [words_in(lines, start, start + 4) for start in (0, 4)] == expected


def test_predict_reads_them_where_no_text_is_given(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "model", max_seconds=5.0)
    write_long_clip(tmp_path / "clip.mp4", seconds=12, sound=12)
    (tmp_path / "clip.srt").write_text(SRT, encoding="utf-8")
    pipe = load_pipeline("model", device="cpu")
    assert ["text" in answer["modalities"] for answer in judge(pipe, "clip.mp4", None, 4)] == [True, True, False]
    assert all("text" in answer["modalities"] for answer in judge(pipe, "clip.mp4", "hello", 4))
    assert "text" in pipe("clip.mp4", window_seconds=4)[0]["missing"]
    with pytest.raises(MediaError, match="clip.srt: characters of subtitles"):
        subtitles_for(HeldFile(tmp_path / "clip.mp4", Limits(characters=0.1)))
    (tmp_path / "clip.srt").write_bytes(b"\0\1 nothing")
    assert cli.main(["predict", "clip.mp4", "--model", "model"]) == 2
    assert "error: clip.srt: not a media file" in capsys.readouterr().err
