"""The screen as a camera; what is no region, and what cannot be read, is said."""

import itertools
import shutil
import subprocess

import numpy as np
import pytest

from affecthub.media.container import MediaError
from affecthub.media.screen import region_of, screen_frames


@pytest.fixture
def display(monkeypatch):
    """A white screen of 320 x 240."""
    if not shutil.which("Xvfb"):
        pytest.skip("there is no Xvfb")
    command = ["Xvfb", "-displayfd", "1", "-wr", "-screen", "0", "320x240x24"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        monkeypatch.setenv("DISPLAY", f":{server.stdout.readline().strip()}")
        yield
        server.terminate()


def test_the_screen_is_seen_whole_or_in_part(display):
    whole = list(itertools.islice(screen_frames(), 3))
    assert [image.shape for _, image in whole] == [(240, 320, 3)] * 3 and whole[0][0] == 0 < whole[2][0] < 5
    assert np.all(whole[2][1][:, 200:] == 255)  # the pointer stands in the middle
    ((_, part),) = itertools.islice(screen_frames((100, 50, 220, 190)), 1)
    assert part.shape == (50, 100, 3)
    with pytest.raises(MediaError, match=r"screen:100x50\+221\+190 is not on the screen, which has 320x240 pixels"):
        next(screen_frames((100, 50, 221, 190)))


def test_a_screen_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":4321")
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(MediaError, match="screen: :4321 cannot be read by x11grab"):
        next(screen_frames())


def test_a_region_is_written_as_in_x11():
    assert region_of("screen") is None and region_of("screen:640x360+0+80") == (640, 360, 0, 80)
    for written in ("screen:", "screen:640x360", "screen:0x9+0+0", "screen:9x9-1+0", "screen:9x9+0+0+0"):
        with pytest.raises(ValueError, match="give screen, or screen:WIDTHxHEIGHT"):
            region_of(written)
