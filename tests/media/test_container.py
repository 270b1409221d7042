import io

import av
import numpy as np
import pytest

from affecthub.media.container import MediaError, probe


def test_probe_tells_what_the_file_states(render, make_tones):
    info = probe(render(frames=50, fps=25, size=(96, 64), audio=make_tones(2.0, 48_000, [440] * 6), layout="5.1"))
    assert (info.has_video, info.video_codec, info.width, info.height, info.fps) == (True, "h264", 96, 64, 25.0)
    assert (info.has_audio, info.audio_codec, info.audio_channels) == (True, "aac", 6)
    assert (info.audio_layout, info.audio_rate) == ("5.1", 48_000)
    assert info.duration == pytest.approx(2.0, abs=0.001)


def test_probe_without_sound_and_without_picture(render, make_tones):
    silent = probe(render("silent.mp4"))
    assert silent.has_video and not silent.has_audio and silent.audio_rate is None
    voice = probe(render("voice.m4a", frames=0, audio=make_tones(0.5, 48_000, [440, 440])))
    assert voice.has_audio and not voice.has_video and voice.width is None and voice.fps is None


def test_probe_reads_a_file_object(render):
    assert probe(io.BytesIO(render().read_bytes())).duration == pytest.approx(2.0)


def test_a_colon_in_a_relative_name_is_no_protocol(render, monkeypatch):
    path = render("take: 1.mp4")
    monkeypatch.chdir(path.parent)
    assert probe("take: 1.mp4").has_video


def test_titles_in_another_encoding_do_not_matter(render):
    path = render()
    content = path.read_bytes()
    assert b"VideoHandler" in content
    path.write_bytes(content.replace(b"VideoHandler", b"VideoHandl\xe9r"))
    assert probe(path).has_video


def test_faults_name_the_file_the_fault_and_the_remedy(tmp_path, render):
    cut = render("cut.mp4").read_bytes()[:1500]
    subtitles = b"1\n00:00:01,000 --> 00:00:02,000\nHello\n\n"
    for name, content, message in (
        ("zero.mp4", b"", r"zero\.mp4: the file is empty \(0 bytes\); copy"),
        ("text.mp4", b"This is no video.\n" * 50, r"text\.mp4: not a media file .*This is.*check"),
        ("noise.mp4", np.random.default_rng(0).bytes(5000), r"noise\.mp4: not a media file"),
        ("moov.mp4", cut, r"moov\.mp4: the index \(moov atom\) is missing.*copy it again"),
        ("words.srt", subtitles * 3, r"words\.srt: no video and no audio .*subtitle"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(MediaError, match=message):
            probe(path)
    with pytest.raises(MediaError, match=r"gone\.mp4: cannot be opened.*check the path"):
        probe(tmp_path / "gone.mp4")
    with pytest.raises(MediaError, match="<bytes>: the file is empty"):
        probe(io.BytesIO(b""))


def test_one_that_cannot_be_opened_in_time_says_so(monkeypatch, render):
    def wait(*arguments, timeout, **options):
        raise av.error.ExitError(0, "Immediate exit requested")

    path = render()
    monkeypatch.setattr(av, "open", wait)
    with pytest.raises(MediaError, match=r"clip\.mp4: not read within 60 s; convert it"):
        probe(path)
