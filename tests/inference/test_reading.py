"""A recording that is not whole is answered with a warning everywhere; a download is whole, in time, or an error."""

import csv
import io
import json
import socket
import threading
import time

import av
import pytest

from affecthub.hub import cli
from affecthub.hub.space_files import app
from affecthub.inference import fetch as fetch_module
from affecthub.inference.pipeline_affect import AffectRecognitionPipeline
from affecthub.media.container import MediaError

from ..hub.tiny import write_clip, write_folder, write_long_clip


def remuxed(source, target, share):
    """The first bytes of the same streams in another container, or with its index in front."""
    options = {"movflags": "faststart"} if target.suffix == ".mp4" else {}
    with av.open(source) as read, av.open(target, "w", options=options) as written:
        streams = {stream: written.add_stream_from_template(stream) for stream in read.streams}
        for packet in read.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream]
                written.mux(packet)
    target.write_bytes(target.read_bytes()[: int(target.stat().st_size * share)])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A model, a clip, and two copies that were cut off."""
    root = tmp_path_factory.mktemp("reading")
    write_folder(root / "model", max_seconds=5.0)
    remuxed(write_clip(root / "clip.mp4"), root / "cut.mp4", 0.98)
    remuxed(write_long_clip(root / "long.mkv", seconds=12, sound=12), root / "cut.mkv", 0.7)
    return root


@pytest.fixture(scope="module")
def pipe(root):
    from affecthub.inference.predict import load_pipeline

    return load_pipeline(str(root / "model"), device="cpu")


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv"])
def test_a_recording_that_was_cut_off_is_answered_with_a_warning(name, root, pipe):
    for given in (root / name, (root / name).read_bytes(), {"audio": root / name}):
        answers = pipe(given, window_seconds=4)
        (warning, *_) = answers[-1]["warnings"]
        assert "it was cut off" in warning and answers[0]["warnings"] == answers[-1]["warnings"]
        assert answers[-1]["end"] < 10
        with pytest.raises(MediaError, match="it was cut off"):
            pipe(given, window_seconds=4, strict=True)
    assert pipe(root / "clip.mp4", strict=True)["warnings"] == []


def test_the_command_says_so_in_its_table_and_its_exit_status(root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    call = ["predict", "clip.mp4", "cut.mkv", "--model", "model"]
    assert cli.main([*call, "--format", "csv"]) == cli.NOT_WHOLE
    told = capsys.readouterr()
    assert told.err.startswith("affecthub: warning: cut.mkv: it was cut off: ") and told.err.count("\n") == 1
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert ["cut off" in row["warnings"] for row in rows] == [False, True, True]
    assert cli.main(call) == cli.NOT_WHOLE and "it was cut off" in capsys.readouterr().out
    assert cli.main([*call, "--format", "json"]) == cli.NOT_WHOLE
    first, second = json.loads(capsys.readouterr().out)["inputs"]
    assert first["answers"][-1]["warnings"] == [] and second["answers"][-1]["warnings"]
    assert (
        cli.main([*call, "--strict"]) == cli.BAD_INPUT and "error: cut.mkv: it was cut off" in capsys.readouterr().err
    )
    assert cli.main([*call[:2], *call[3:], "--limit", "pixels=100"]) == cli.BAD_INPUT
    assert "raise the limit pixels" in capsys.readouterr().err


def test_the_page_says_so_beside_the_answer(root, pipe):
    *_, (sentence, *_) = app.judge(pipe, str(root / "cut.mkv"), None)
    assert sentence.startswith("<h2>") and "</strong> It was cut off: " in sentence and str(root) not in sentence


def test_the_page_shows_what_was_judged_before_something_failed(root, pipe, monkeypatch):
    def stream(*arguments, **options):
        yield from pipe.stream(root / "long.mkv")
        raise MediaError(f"{root / 'long.mkv'}: not judged within 60 s")

    stand_in = type("Pipe", (), {"stream": stream, "faults": pipe.faults, "processor": pipe.processor})()
    stand_in.model = pipe.model
    *_, (sentence, *_) = app.judge(stand_in, str(root / "long.mkv"), None)
    assert sentence.startswith("<h2>") and "</strong> Long.mkv: not judged within 60 s" in sentence


def test_windows_are_bounded_at_every_entrance(root, pipe):
    for hop in (1e-5, 1e-300):
        with pytest.raises(ValueError, match="windows at once: "):
            pipe(root / "clip.mp4", window_seconds=1, hop_seconds=hop)
    with pytest.raises(ValueError, match="windows: 12.*at most 3 are taken"):
        pipe(root / "long.mkv", window_seconds=1, limits={"windows": 3})
    with pytest.raises(ValueError, match="characters: 11, and at most 10"):
        pipe("hello world", limits={"characters": 10})
    with pytest.raises(ValueError, match="long.mkv: not judged within 1e-09 s"):
        pipe(root / "long.mkv", limits={"work_seconds": 1e-9})


class Site(threading.Thread):
    """Answers every connection with the bytes that it was given, some of them late."""

    def __init__(self, head, body=(), pause=0.0):
        super().__init__(daemon=True)
        self.head, self.body, self.pause = head, body, pause
        self.server = socket.create_server(("127.0.0.1", 0))
        self.start()

    def run(self):
        """Until the server is closed."""
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)
                try:
                    for part in (self.head, *self.body):
                        connection.sendall(part)
                        time.sleep(self.pause)
                except OSError:
                    continue

    @property
    def address(self):
        """Of a clip there."""
        return f"HTTP://127.0.0.1:{self.server.getsockname()[1]}/clip.mp4"


OK = b"HTTP/1.1 200 OK\r\n"
TOLD = b"%bContent-Length: 9999\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "body", "pause", "said"),
    [
        (TOLD % OK, [b"cut"], 0, "3 of 9,999 bytes came; try again"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", [b"99\r\nabc"], 0, "cannot be fetched"),
        (b"nonsense\r\n\r\n", [], 0, "cannot be fetched"),
        (OK + b"X: " + b"y" * 70_000, [], 0, "cannot be fetched"),
        (b"HTTP/1.1 302 Found\r\nLocation: file:///etc/hostname\r\n\r\n", [], 0, "cannot be fetched|not followed"),
        (TOLD % OK, [b"x"] * 200, 0.05, "not fetched within 0.5 s; download it yourself"),
        (b"", [OK[i : i + 1] for i in range(9)] * 20, 0.05, "not fetched within 0.5 s"),
    ],
)
def test_a_download_is_whole_and_in_time_or_an_error(pipe, head, body, pause, said):
    site, begin = Site(head, body, pause), time.monotonic()
    try:
        with pytest.raises(MediaError, match=f"^{site.address}: .*({said})"):
            pipe(site.address, limits={"download_seconds": 0.5})
        assert time.monotonic() - begin < 3
    finally:
        site.server.close()


def test_an_address_outside_does_not_lead_into_this_network(pipe, monkeypatch):
    site = Site(b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/clip.mp4\r\n\r\n")
    plain = fetch_module._is_private
    monkeypatch.setattr(fetch_module, "_is_private", lambda host: host != "127.0.0.1" and plain(host))
    with pytest.raises(MediaError, match=r"leads to http://10.0.0.1/clip.mp4, which is not followed"):
        pipe(site.address)
    site.server.close()


@pytest.mark.parametrize("text", ["file:///etc/hostname", "ftp://example.org/clip.mp4", "S3://bucket/clip"])
def test_an_address_of_another_scheme_is_no_text(pipe, text):
    with pytest.raises(MediaError, match="only http and https addresses are fetched"):
        pipe(text)
    assert pipe(f"{text} is where it lies")["modalities"] == ["text"]


def test_the_pipeline_is_what_the_page_gets_its_list_of_faults_from():
    assert AffectRecognitionPipeline.faults is cli.FAULTS
