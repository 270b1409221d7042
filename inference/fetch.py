"""What lies at an address is fetched into a temporary file: whole, within limits of bytes and time, or not at all."""

import http.client
import ipaddress
import re
import socket
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import IO, BinaryIO

import av
import av.error

from affecthub.media.container import PLAYLISTS, HeldFile, MediaError
from affecthub.media.limits import Limits, too_much

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://\S+", re.IGNORECASE)
"""A scheme and what follows, without blanks; a sentence that begins with an address is none."""

SCHEMES = ("http", "https")

STREAM_SCHEMES = (*SCHEMES, "rtsp", "rtsps")
"""Of what goes on, such as a camera in the network."""

BLOCK = 1 << 16
"""Bytes read at once, or as many as have come."""


def is_address(value: str) -> bool:
    """Whether a string is an address, of whatever scheme."""
    return ADDRESS.fullmatch(value) is not None


def fetch(address: str, stack: ExitStack, limits: Limits) -> BinaryIO:
    """What is at an http(s) address, in a temporary file that goes with `stack`.

    Args:
        address: which may be in the local network, but not lead there from outside of it.
        stack: closes the file.
        limits: `download_bytes`, `download_seconds` and `idle_seconds`.

    Raises:
        MediaError: it is no such address, cannot be fetched, is cut off, or exceeds a limit.
    """
    found = ADDRESS.fullmatch(address)
    if found is None or found[1].lower() not in SCHEMES:
        raise MediaError(f"{address}: only http and https addresses are fetched; pass a path, or download it yourself")
    file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    end = time.monotonic() + limits.download_seconds
    try:
        with _Timed(end) as opener, opener.open(address, timeout=limits.idle_seconds) as response:
            _copy(response, file, address, end, limits)
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, MediaError):
            raise
        if time.monotonic() > end:
            raise MediaError(f"{address}: {_too_slow(limits)}") from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MediaError(f"{address}: cannot be fetched ({reason:.200}); check the address") from error
    return file


def open_stream(address: str, stack: ExitStack, limits: Limits) -> HeldFile:
    """What goes on at an address, open for reading as it comes.

    An http(s) address is opened by the rules of `fetch`, and FFmpeg opens nothing itself: lists of other addresses
    (HLS, DASH) are refused. An rtsp(s) address FFmpeg opens, over TCP.

    Args:
        address: an http(s) or rtsp(s) one.
        stack: closes what is opened.
        limits: `idle_seconds` and `recording_seconds`.

    Raises:
        MediaError: it is no such address, or cannot be opened.
    """
    parts = urllib.parse.urlsplit(address)
    shown = address.replace(f"{parts.netloc.rpartition('@')[0]}@", "", 1)  # a password is nothing for a message
    if parts.scheme not in STREAM_SCHEMES:
        raise MediaError(
            f"{shown}: only {', '.join(STREAM_SCHEMES)} addresses are streams; pass one of these, or a path"
        )
    options, idle = {"max_pixels": str(limits.pixels)}, limits.idle_seconds
    try:
        if parts.scheme in SCHEMES:
            opener = stack.enter_context(_Timed(time.monotonic() + limits.recording_seconds))
            response = stack.enter_context(opener.open(address, timeout=idle))
            options["protocol_whitelist"] = "none"
            container = av.open(_Body(response), "r", metadata_errors="replace", options=options)
        else:
            options |= {"protocol_whitelist": "rtsp,rtsps,rtp,srtp,tcp,tls", "rtsp_transport": "tcp"}
            container = av.open(address, "r", metadata_errors="replace", timeout=idle, options=options)
    except (av.error.FFmpegError, OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, MediaError):
            raise
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise MediaError(f"{shown}: cannot be opened as a stream ({reason:.200}); check the address") from error
    held = HeldFile(shown, limits)
    held.put_back(container)
    stack.callback(held.close)
    if container.format.name in PLAYLISTS - {"sdp"}:
        raise MediaError(f"{shown}: a list of other addresses ({container.format.name}); pass the stream itself")
    return held


class _Body:
    """A response as FFmpeg reads one: forward only; cut off, it ends."""

    def __init__(self, response: http.client.HTTPResponse):
        self._response = response

    def read(self, size: int) -> bytes:
        """At most so many bytes, as they come; none at the end."""
        try:
            return self._response.read1(size)
        except (OSError, http.client.HTTPException):
            return b""


def _copy(response: http.client.HTTPResponse, file: BinaryIO, address: str, end: float, limits: Limits) -> None:
    """The body into a file, as long as the headers say."""
    stated = response.headers.get("Content-Length", "")
    while block := response.read1(BLOCK):
        file.write(block)
        if file.tell() > limits.download_bytes:
            fault = too_much("bytes: more than", file.tell(), "download_bytes", limits.download_bytes)
            raise MediaError(f"{address}: {fault}")
        if time.monotonic() > end:
            break
    if time.monotonic() > end:  # or the connection was shut then
        raise MediaError(f"{address}: {_too_slow(limits)}")
    if stated.isdecimal() and file.tell() != int(stated):
        raise MediaError(
            f"{address}: {file.tell():,} of {int(stated):,} bytes came; try again, or download it yourself"
        )


def _too_slow(limits: Limits) -> str:
    return (
        f"not fetched within {limits.download_seconds:g} s; download it yourself, or raise the limit download_seconds"
    )


class _Timed:
    """Opens addresses; whatever it opened is shut at `end`, by the monotonic clock, in whichever state it then is."""

    def __init__(self, end: float):
        self._end, self._timers = end, []

    def __enter__(self) -> urllib.request.OpenerDirector:
        return urllib.request.build_opener(self._handler("HTTP"), self._handler("HTTPS"), _Redirects())

    def __exit__(self, *exception: object) -> None:
        for timer in self._timers:
            timer.cancel()

    def _handler(self, name: str) -> urllib.request.BaseHandler:
        """The library's handler of a scheme, with connections that are watched."""
        plain = getattr(urllib.request, f"{name}Handler")
        connect = self._watched(getattr(http.client, f"{name}Connection"))

        class Handler(plain):
            def do_open(self, http_class: Callable, request: urllib.request.Request, **options: object) -> object:
                return super().do_open(connect, request, **options)

        return Handler()

    def _watched(self, kind: type[http.client.HTTPConnection]) -> type[http.client.HTTPConnection]:
        def watch(connection: socket.socket) -> None:
            timer = threading.Timer(max(self._end - time.monotonic(), 0.0), _shut, [connection])
            timer.daemon = True
            timer.start()
            self._timers.append(timer)

        class Connection(kind):
            def connect(self) -> None:
                super().connect()
                watch(self.sock)

        return Connection


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # the plain one: TLS would take its own state away first


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but none that leads from outside into this machine's own network."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """As the base class; MediaError where it leads where it must not."""
        target = urllib.parse.urlsplit(newurl)
        inward = _is_private(target.hostname) and not _is_private(urllib.parse.urlsplit(req.full_url).hostname)
        if target.scheme.lower() not in SCHEMES or inward:
            raise MediaError(f"{req.full_url}: leads to {newurl}, which is not followed; pass that address itself")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_private(host: str | None) -> bool:
    """Whether a host is no public one, by any of its addresses."""
    try:
        found = socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return any(not ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_global for entry in found)
