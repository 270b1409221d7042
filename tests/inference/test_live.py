"""Answers at a steady rate: from a file at its own pace, a stream, a camera; what is slow is left out and counted."""

import itertools
import json
import time

import numpy as np
import pytest

from affecthub.hub import cli
from affecthub.inference import live as live_module
from affecthub.inference.live import Live
from affecthub.inference.predict import load_pipeline
from affecthub.media import people
from affecthub.media.container import MediaError
from affecthub.media.faces import Face
from affecthub.media.quality import Quality
from affecthub.media.recent import Recent
from affecthub.media.windows import Sound, merged, pictures_of

from ..hub.tiny import write_folder, write_long_clip
from .test_reading import Site, remuxed


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("live")
    write_folder(root / "model", max_seconds=5.0)
    write_long_clip(root / "clip.mp4", seconds=3, sound=3)
    remuxed(root / "clip.mp4", root / "clip.ts", 1)
    return root


class Brightness:
    """Sees two faces in dark pictures, the second a smaller one, and none in bright ones."""

    def detect(self, image):
        """By how bright it is: the clip goes from black to white."""
        boxes = [(0, 0, 24, 24), (10, 0, 32, 20)] if image.mean() < 150 else []
        return [Face(box, 0.99) for box in boxes]


@pytest.fixture(scope="module")
def pipe(root):
    return load_pipeline(str(root / "model"), device="cpu")


def test_a_file_at_its_own_pace_is_answered_as_its_windows_are(pipe, root):
    live, begun = Live(pipe, str(root / "clip.mp4"), rate=4, window_seconds=1), time.monotonic()
    answers = list(live)
    assert 2.5 < time.monotonic() - begun < 10
    assert answers[0]["modalities"] == ["audio", "video"] and answers[-1]["end"] > 2.5
    steps = np.diff([answer["end"] for answer in answers])
    assert 4 <= len(answers) + live.status.skipped <= 12 and steps.min() > 0 and live.status.dropped == 0
    assert live.status.answers == len(answers) == len(live.status.latencies)
    assert all(0 < answer["latency"] < 5 for answer in answers)


def test_a_model_that_is_slow_answers_about_the_newest(pipe, root, monkeypatch):
    monkeypatch.setattr(pipe, "judge", lambda batch, judge=pipe.judge: (time.sleep(0.6), judge(batch))[1])
    live = Live(pipe, str(root / "clip.mp4"), rate=20, window_seconds=0.2)
    ends = [answer["end"] for answer in live]
    assert live.status.skipped >= 2 * len(ends) and live.status.dropped > 0
    assert min(np.diff(ends)) > 0.4


def test_scores_are_averaged_with_those_before(pipe, root):
    scores = iter([[1.0, 0.0], [0.0, 1.0]])
    live = Live(pipe, str(root / "clip.mp4"), smoothing=2.0)
    names = pipe.model.config.tasks[0].labels[:2]
    for end in (1.0, 2.0):
        answer = {"end": end, "scores": dict(zip(names, next(scores), strict=True))}
        answer = live._smoothed(answer)
    weight = np.exp(-0.5)
    assert list(answer["scores"].values()) == pytest.approx([weight, 1 - weight])
    assert answer["label"] == names[0]


def test_each_person_is_judged_live_and_a_face_that_is_gone_is_told_of(pipe, root, monkeypatch, capsys):
    monkeypatch.setattr(people, "default_detector", Brightness)
    live = Live(pipe, str(root / "clip.mp4"), rate=4, window_seconds=0.8, faces=2, quality=Quality(face_size=22))
    live_module.show(live, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert "person 1: " in lines[0] and "not judged: face size 20 px, below 22" in "".join(lines)
    assert "not judged: no face for 1 s" in lines[-1]
    with pytest.raises(ValueError, match="judge people"):
        Live(pipe, "0", quality=Quality(yaw=20))


def test_the_newest_seconds_are_kept():
    recent = Recent(2.0, pictures=5)
    sounds = (Sound(number / 10, np.zeros(10, np.float32), 100) for number in range(100))
    for event in merged(sounds, pictures_of((n / 50, np.zeros((2, 2, 3), np.uint8)) for n in range(500))):
        recent.put(event)
    newest = recent.newest()
    times = [event.time for event in newest.events]
    assert times == sorted(times) and times[0] >= 7.88 and newest.end == pytest.approx(10)
    assert len(newest.events) <= 22 + 20 and recent.dropped > 50


def test_a_stream_is_judged_and_its_end_is_a_loss(pipe, root):
    parts = (root / "clip.ts").read_bytes()
    site = Site(b"HTTP/1.1 200 OK\r\n\r\n", [parts[: len(parts) // 2], parts[len(parts) // 2 :]], 0.2)
    answers = []
    with pytest.raises(MediaError, match="it was lost; check that it is connected"):
        answers.extend(Live(pipe, site.address, rate=10, window_seconds=1))
    assert answers and answers[-1]["end"] > 2.5
    site.server.close()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("ftp://user:secret@example.org/clip.mp4", "ftp://example.org/clip.mp4: only http, https, rtsp, rtsps"),
        ("rtsp://user:secret@127.0.0.1:9/stream", "rtsp://127.0.0.1:9/stream: cannot be opened as a stream"),
        ("99", "camera 99: cannot be opened; check that it is connected and free"),
        ("nowhere.mp4", "nowhere.mp4: cannot be opened"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(root, source, said, monkeypatch, capfd):
    monkeypatch.chdir(root)
    assert cli.main(["live", source, "--model", "model"]) == 2
    told = capfd.readouterr()
    assert told.out == "" and said in told.err and told.err.count("\n") == 1 and "secret" not in told.err


def test_a_list_of_other_addresses_is_refused(pipe):
    site = Site(b"HTTP/1.1 200 OK\r\n\r\n", [b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://10.0.0.1/a.ts\n"])
    with pytest.raises(MediaError, match="cannot be opened as a stream|a list of other addresses"):
        list(Live(pipe, site.address))
    site.server.close()


def test_a_camera_that_is_lost_and_one_that_is_stopped(root, monkeypatch, capsys):
    def frames(camera, count):
        for number in range(count):
            time.sleep(0.02)
            yield number / 50, np.full((16, 16, 3), number % 255, np.uint8)

    monkeypatch.chdir(root)
    call = ["live", "0", "--model", "model", "--window", "0.3", "--rate", "10", "--json"]
    monkeypatch.setattr(live_module, "camera_frames", lambda camera: frames(camera, 50))
    assert cli.main(call) == 2
    told = capsys.readouterr()
    assert told.err.splitlines()[-1].startswith("affecthub: error: camera 0: it was lost")
    answers = [json.loads(line) for line in told.out.splitlines()]
    assert answers and all(answer["missing"] and not answer["synthetic"] for answer in answers)
    monkeypatch.setattr(live_module, "camera_frames", lambda camera: frames(camera, 10_000))
    assert cli.main([*call, "--seconds", "1"]) == 0 and "answers" in capsys.readouterr().err
    monkeypatch.setattr(live_module, "_line", lambda answer: (_ for _ in ()).throw(KeyboardInterrupt))
    assert cli.main(call[:-1]) == 0
    monkeypatch.setattr(live_module, "camera_frames", lambda camera: itertools.chain(frames(0, 3), stalled()))
    assert cli.main([*call, "--limit", "idle_seconds=0.3"]) == 2
    assert "nothing came for 0.3 s" in capsys.readouterr().err


def ticking(seconds, make, opens=0.0, count=100_000):
    """What a device gives every so many seconds, by its own clock."""
    time.sleep(opens)
    begin = time.monotonic()
    for _ in range(count):
        yield make(time.monotonic() - begin)
        time.sleep(seconds)


def test_a_camera_and_a_microphone_share_a_clock(pipe, monkeypatch):
    def frames(**options):
        return ticking(0.02, lambda now: (now, np.zeros((16, 16, 3), np.uint8)), **options)

    def sounds(**options):
        return ticking(0.1, lambda now: Sound(now, np.full(1600, 0.1, np.float32), 16_000), **options)

    def live(cameras_frames, microphones_sounds, **options):
        monkeypatch.setattr(live_module, "camera_frames", lambda camera: cameras_frames)
        monkeypatch.setattr(live_module, "microphone_sounds", lambda source: microphones_sounds)
        return Live(pipe, "0", "microphone", rate=5, window_seconds=1, **options)

    watching = live(frames(opens=1.5), sounds())  # each counts from its own beginning
    assert next(answer for answer in watching if answer["modalities"] == ["audio", "video"])
    ends = {type(event): event.end for event in watching.recent.newest().events}
    assert len(ends) == 2 and np.ptp(list(ends.values())) < 1.0 and min(ends.values()) > 1.5
    with pytest.raises(MediaError, match="^camera 0: nothing came for 1.5 s"):
        list(live(itertools.chain(frames(count=9), stalled()), sounds(), limits="idle_seconds=1.5"))
    with pytest.raises(MediaError, match="^microphone: it was lost"):
        list(live(frames(), sounds(count=9)))


def test_sources_that_do_not_go_together_are_refused(pipe, root):
    for sources in (
        (),
        ("0", "1"),
        ("microphone", "microphone:USB"),
        ("clip.mp4", "microphone"),
        ("0", "microphone", "screen"),
    ):
        with pytest.raises(
            ValueError, match="give one, or two of which one is a camera or the screen and the other a mi"
        ):
            Live(pipe, *sources)
    write_folder(root / "hears", modalities=["audio"])
    hearing = load_pipeline(str(root / "hears"), device="cpu")
    with pytest.raises(ValueError, match="camera 0: this model takes no pictures; give microphone as the source"):
        Live(hearing, "0", "microphone")
    write_folder(root / "sees", modalities=["video"])
    with pytest.raises(ValueError, match="microphone: this model takes no sound; give a camera or the screen"):
        Live(load_pipeline(str(root / "sees"), device="cpu"), "microphone")


def stalled():
    """A camera that gives nothing for a while."""
    time.sleep(3)
    yield from ()
