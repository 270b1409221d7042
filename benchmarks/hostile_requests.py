"""What hostile requests do to others: endpoint and page on loopback, as many hostile requests as normal ones.

    python benchmarks/hostile_requests.py [--of endpoint page] [--requests N] [--at-once N] [--output FILE]

Served: the ensemble at tiny size, in a process of its own; the endpoint by a thread a request. Hostile: files that
were cut off, whose headers lie, that are none, bombs; bodies too deep, too large, with windows without end. Memory
is that of the serving process, before and after; both times 40 normal requests have just been answered.
"""

import argparse
import base64
import http.server
import json
import random
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import pandas as pd
import psutil
from measure import Goal, report
from pipeline_overhead import QUICK, make_parts
from sample_media import write_clip

from affecthub.hub.remote_code import add_travelling_code

SIZE = (160, 90)
"""px of the clips."""

WARM_UP = 40
"""Requests before memory is looked at."""

PATIENCE = 180
"""s after which a request counts as not answered."""


def main(arguments: list[str] | None = None) -> None:
    """Measure both, or, as the child of such a run, serve one of them."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("--of", nargs="+", choices=SERVERS, default=list(SERVERS), help="default: both")
    parser.add_argument("--requests", type=int, default=200, help="of each kind; default: 200")
    parser.add_argument("--at-once", type=int, default=8, help="default: 8")
    parser.add_argument("--output", type=Path, help="write the figures here, as JSON")
    parser.add_argument("--serve", type=Path, help="serve this model folder, and measure nothing")
    options = parser.parse_args(arguments)
    if options.serve:
        SERVERS[options.of[0]](options.serve)
        return
    rows, goals, times = [], [], {}
    for name in options.of:
        found, seconds = measure(name, options.requests, options.at_once)
        rows.append({"": name} | {key: round(value, 3) for key, value in found.items()})
        times |= {f"{name}: {kind}": values for kind, values in seconds.items()}
        goals += [
            Goal(f"{name}: normal requests answered", found["normal answered"], at_least=options.requests),
            Goal(f"{name}: memory after, of before", found["memory after / before"], at_most=1.1),
        ]
    title = f"{options.requests} hostile and as many normal requests, {options.at_once} at once"
    report(title, pd.DataFrame(rows).set_index("").T.reset_index(), goals, options.output, times=times)


def measure(name: str, count: int, at_once: int) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Figures of one server, and the s of every request by kind."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        for part in make_parts(QUICK):
            part.save_pretrained(folder / "model")
        add_travelling_code(folder / "model")
        normal, hostile = make_files(folder)
        child = subprocess.Popen(
            [sys.executable, __file__, "--of", name, "--serve", str(folder / "model")],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        try:
            port = next(int(line.split()[1]) for line in child.stdout if line.startswith("PORT "))
            ask = ASKED[name](port, normal, hostile)
            return _asked(ask, psutil.Process(child.pid), count, at_once)
        finally:
            child.kill()
            child.wait()


def _asked(
    ask: Callable, server: psutil.Process, count: int, at_once: int
) -> tuple[dict[str, float], dict[str, list[float]]]:
    def timed(kind: str, number: int) -> tuple[str, bool, float]:
        begin = time.perf_counter()
        return kind, ask(kind, number), time.perf_counter() - begin

    def memory() -> int:
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda number: timed("normal", number), range(WARM_UP)))
        return server.memory_info().rss

    before = memory()
    jobs = [(kind, number) for kind in ("normal", "hostile") for number in range(count)]
    random.Random(0).shuffle(jobs)
    with ThreadPoolExecutor(at_once) as pool:
        done = list(pool.map(lambda job: timed(*job), jobs))
    after = memory()
    times = {kind: sorted(seconds for k, _, seconds in done if k == kind) for kind in ("normal", "hostile")}
    return {
        "normal answered": sum(good for kind, good, _ in done if kind == "normal"),
        "hostile answered or refused": sum(good for kind, good, _ in done if kind == "hostile"),
        "median of normal, s": times["normal"][count // 2],
        "slowest normal, s": times["normal"][-1],
        "slowest hostile, s": times["hostile"][-1],
        "memory before, MB": before / 1e6,
        "memory after / before": after / before,
    }, times


def make_files(folder: Path) -> tuple[bytes, list[bytes]]:
    """A clip of three seconds, and files that are made to harm."""
    clip = write_clip(folder / "clip.mp4", size=SIZE).read_bytes()
    matroska = folder / "clip.mkv"
    with av.open(str(folder / "clip.mp4")) as source, av.open(str(matroska), "w") as target:
        streams = {stream: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream]
                target.mux(packet)
    content = bytearray(matroska.read_bytes())
    place = content.index(b"\x44\x89\x88") + 3
    lying = bytes(content[:place]) + struct.pack(">d", 1e13) + bytes(content[place + 8 :])
    sound = b"RIFF\x24\x00\x01\x00WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 2**31 - 1, 2**31, 2, 16)
    noise = random.Random(0).randbytes(20_000)
    shares = (1, 5, 20, 50, 80, 98)
    return clip, [
        *(clip[: len(clip) * share // 100] for share in shares),
        *(bytes(content[: len(content) * share // 100]) for share in shares),
        *(
            lying,
            sound + b"data\x00\x00\x01\x00" + bytes(65_536),
            _bomb(),
            noise,
            b"",
            b"ffconcat version 1.0\nfile x\n",
        ),
    ]


def _bomb() -> bytes:
    """A PNG file of 16,384 x 16,384 px, which would take 805 MB."""
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(1 + 3 * 16_384)) for _ in range(16_384)) + packer.flush()
    parts = (b"IHDR", struct.pack(">IIBBBBB", 16_384, 16_384, 8, 2, 0, 0, 0)), (b"IDAT", body), (b"IEND", b"")
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def serve_endpoint(folder: Path) -> None:
    """The handler, as the service's toolkit calls it: any exception is status 400 with its message."""
    from affecthub.inference.handler import EndpointHandler

    handler = EndpointHandler(str(folder))

    class Requests(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802 - the library's name
            """Answer one."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                status, answer = 200, handler(json.loads(body))
            except (ValueError, RecursionError) as error:  # RecursionError: the JSON library's, before the handler
                status, answer = 400, {"error": str(error)}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    print("PORT", server.server_port, flush=True)
    server.serve_forever()


def serve_page(folder: Path) -> None:
    """The Space's page."""
    from affecthub.hub.space_files import app

    page = app.open_page(str(folder))
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, max_file_size=app.MAX_FILE)
    print("PORT", address.rstrip("/").rpartition(":")[2], flush=True)
    page.block_thread()


def ask_endpoint(port: int, normal: bytes, hostile: list[bytes]) -> Callable[[str, int], bool]:
    """Sends one request: whether it was answered, or, if it is hostile, refused."""

    def encoded(content: bytes) -> str:
        return base64.b64encode(content).decode()

    def parameters(**values: object) -> dict:
        return {"inputs": {"video": encoded(normal)}, "parameters": values}

    bodies = [json.dumps({"inputs": {"video": encoded(content)}}) for content in hostile]
    bodies += [json.dumps(parameters(window_seconds=1, hop_seconds=hop)) for hop in (1e-5, 1e-300, float("nan"))]
    bodies += [
        '{"inputs": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"inputs": ' + '{"history": [' * 500 + "]}" * 500 + "}",
    ]
    bodies += [json.dumps({"inputs": ["hello"] * 100_000}), json.dumps({"inputs": "a" * 10_000_000}), "{", "[]"]
    good = json.dumps({"inputs": {"video": encoded(normal), "text": "hello world"}})

    def ask(kind: str, number: int) -> bool:
        body = good if kind == "normal" else bodies[number % len(bodies)]
        request = urllib.request.Request(f"http://127.0.0.1:{port}", body.encode())
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return "scores" in json.load(response) or kind == "hostile"
        except urllib.error.HTTPError as error:
            return kind == "hostile" and error.code == 400 and "error" in json.load(error)
        except OSError:
            return False

    return ask


def ask_page(port: int, normal: bytes, hostile: list[bytes]) -> Callable[[str, int], bool]:
    """Uploads one clip and waits for the answer, as a browser does; all hostile ones are of one visitor."""
    base = f"http://127.0.0.1:{port}/gradio_api"

    def post(path: str, content: bytes, kind: str) -> Any:
        request = urllib.request.Request(f"{base}/{path}", content, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return json.load(response)

    def upload(content: bytes) -> dict:
        mark = uuid.uuid4().hex
        head = f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="clip.mp4"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        (path,) = post("upload", body, f"multipart/form-data; boundary={mark}")
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    def ask(kind: str, number: int) -> bool:
        content = normal if kind == "normal" else hostile[number % len(hostile)]
        session = uuid.uuid4().hex
        try:
            job = {"data": [upload(content), "hello", ""], "fn_index": 0, "session_hash": session}
            post("queue/join", json.dumps(job).encode(), "application/json")
            said = _last_of(f"{base}/queue/data?session_hash={session}")
        except OSError:
            return False
        return "Judged by" in said or (kind == "hostile" and "No answer" in said)

    return ask


def _last_of(address: str) -> str:
    """The sentence that stands on the page in the end."""
    said = ""
    with urllib.request.urlopen(address, timeout=PATIENCE) as stream:
        for line in stream:
            message = json.loads(line[5:]) if line.startswith(b"data:") else {}
            if message.get("msg") in ("process_generating", "process_completed"):
                said = str((message["output"].get("data") or [said])[0])
            if message.get("msg") in ("process_completed", "close_stream"):
                break
    return said


SERVERS = {"endpoint": serve_endpoint, "page": serve_page}
ASKED = {"endpoint": ask_endpoint, "page": ask_page}

if __name__ == "__main__":
    main()
