"""The builder on small studies made here: rows, manifest, faces, resuming, and everything that can be wrong."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av
import numpy as np
import pytest

from affecthub.datasets_scripts.genex import frames as genex_frames
from affecthub.datasets_scripts.genex.align import AlignOptions
from affecthub.datasets_scripts.genex.builder import (
    FrameOptions,
    GenexBuilder,
    extract_study,
    genex_manifest,
    load_genex,
)
from affecthub.datasets_scripts.genex.frames import extract_frames
from affecthub.datasets_scripts.genex.manifest import FINDINGS
from affecthub.datasets_scripts.genex.study import FEATURES, TARGETS, Study
from affecthub.datasets_scripts.genex.variants import add_colour_variants
from affecthub.datasets_scripts.synthetic.clip import encode_clip
from affecthub.media.colour import COLOUR_VARIANTS
from affecthub.media.faces import Face
from affecthub.media.pictures import read_image

FEA = "Respondent Name,Expression Type,Expression Onset,Expression Offset\n"
WHOLE = FrameOptions(every=10, crop_faces=False)
"""The test videos have 12.5 frames a second: every tenth is one in 800 ms."""


class BrightFace:
    """Finds one face where the upper left is bright."""

    def detect(self, image):
        return [Face((4, 4, 24, 24), 0.9)] if image[:16, :16].mean() > 128 else []


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path):
    (tmp_path / "study").mkdir()
    return tmp_path / "study"


def film(path, frames=50, dark_from=50):
    """A video, bright and then dark."""
    images = np.full((frames, 48, 64, 3), 200, np.uint8)
    images[dark_from:] = 20
    path.write_bytes(encode_clip(images, None))


def annotate(root, rows):
    (root / "FEAExpressionTable.csv").write_text(FEA + "".join(f"{row}\n" for row in rows))


def built(root, **options):
    cache = root.parent / "rows"
    options = {"frames": WHOLE, "cache_dir": cache} | options
    manifest = genex_manifest(root, **options)
    assert set(manifest.finding) <= set(FINDINGS)
    counts = {(row.subject, row.finding): row.count for row in manifest.itertuples(index=False) if row[2]}
    return load_genex(root, **options), {key: int(manifest_count(manifest, key)) for key in counts}


def manifest_count(manifest, key):
    return manifest[(manifest.subject == key[0]) & (manifest.finding == key[1])]["count"].sum()


def test_rows_are_frames_with_what_was_annotated_before_them(root):
    film(root / "Screen recording 1 - LE 3299.mp4")
    annotate(root, ["LE  3299,Joy,100,1500", "LE 3299,Attention,0,1200", "LE 3299,Head Down,0,4000"])
    rows, found = built(root)
    assert rows["time_ms"] == [0, 800, 1600, 2400, 3200] and rows["frame_index"] == [0, 10, 20, 30, 40]
    assert rows["key"][1] == "LE 3299/Screen recording 1/0000010"
    assert set(rows["participant"]) == {"LE 3299"} and set(rows["view"]) == {"gaze_replay"}
    targets = np.array(rows["targets"])
    assert targets.shape == (5, 17) and np.array(rows["physio_values"]).shape == (5, 33)
    assert targets[1:, TARGETS.index("Joy")].tolist() == [1, 1, 1, 0]
    assert np.isnan(targets[0]).all() and rows["targets_present"] == [False, True, True, True, True]
    assert np.array(rows["physio_values"])[1:, FEATURES.index("Head Down")].tolist() == [1, 1, 1, 1]
    assert np.array(rows["attention"])[1:] == pytest.approx([1, 0.6, 0, 0])
    assert rows["attention_label"] == [-1, 1, 1, 0, 0]
    assert read_image(rows["image_path"][0]).shape == (48, 64, 3)
    assert rows["video_present"] == [True] * 5 and rows["face_present"] == [False] * 5
    assert found["LE 3299/Screen recording 1", "used"] == 5
    assert found["LE 3299/Screen recording 1", "no_annotation"] == 5  # neither gaze nor GSR is in a table


def test_a_face_is_cut_out_and_a_frame_without_one_stays_masked(root):
    film(root / "RespCam_LE 3299_Task_(1).mp4", dark_from=25)
    annotate(root, ["LE 3299,Joy,0,4000"])
    rows, found = built(root, frames=FrameOptions(every=10), detector=BrightFace())
    assert rows["face_present"] == [True, True, True, False, False] == rows["video_present"]
    assert rows["face_box"][0] == [4, 4, 24, 24] and rows["face_box"][4] in (None, [])
    assert read_image(rows["image_path"][0]).shape == (24, 24, 3)  # 20 px, widened by 1.2
    assert read_image(rows["image_path"][4]).shape == (48, 64, 3)
    assert found["LE 3299/Task", "no_face_found"] == 2


def test_one_bad_recording_leaves_the_rest(root):
    film(root / "RespCam_LE 3299_Task.mp4")
    (root / "RespCam_CP 0636_Task.mp4").write_text("no video")
    whole = (root / "RespCam_LE 3299_Task.mp4").read_bytes()
    (root / "RespCam_NS 4013_Task.mp4").write_bytes(whole[:-1500])
    film(root / "RespCam_JM 9684_Task.mp4")
    film(root / "holiday.mp4")
    film(root / "._RespCam_LE 3299_Task.mp4")
    annotate(root, [f"{name},Joy,0,9000" for name in ("LE 3299", "CP 0636", "NS 4013", "MP 5114")])
    rows, found = built(root)
    assert set(rows["participant"]) == {"LE 3299"}
    assert found["RespCam_CP 0636_Task.mp4", "broken"] == found["RespCam_NS 4013_Task.mp4", "broken"] == 1
    assert found["RespCam_JM 9684_Task.mp4", "unannotated"] == 1
    assert found["holiday.mp4", "unnamed"] == 1
    assert found["tables", "unfilmed"] == 1


def test_a_table_of_strangers_is_noted_and_the_study_goes_on(root):
    film(root / "RespCam_LE 3299_Task.mp4")
    annotate(root, ["LE 3299,Joy,0,4000"])
    (root / "GSRPeakTable.csv").write_text("Respondent Name,Peak Time,Peak Amplitude\nXX 1,5,0.1\nXX 1,6,0.1\n")
    rows, found = built(root)
    assert len(rows) == 5 and found["GSR peak table", "no_common_participant"] == 2


def test_a_study_of_strangers_alone_is_an_error_that_names_them(root):
    film(root / "RespCam_LE 3299_Task.mp4")
    annotate(root, ["XX 1,Joy,0,4000"])
    with pytest.raises(
        ValueError, match="no frame of an annotated participant.*\n(.*\n)*.*it names XX 1; the videos LE"
    ):
        built(root)


def test_a_recording_shorter_than_its_annotations(root):
    film(root / "RespCam_LE 3299_Task.mp4")
    annotate(root, ["LE 3299,Joy,0,4000", "LE 3299,Joy,60000,70000", "LE 3299,Smile,90000,90001"])
    _, found = built(root)
    assert found["LE 3299/Task", "shorter_than_annotations"] == 2


def test_of_two_recordings_without_a_named_stimulus_the_first_is_used(root):
    for name in ("Screen recording 1 - LE 3299.mp4", "Screen recording 2 - LE_3299.mp4"):
        film(root / name)
    annotate(root, ["LE 3299,Joy,0,4000"])
    rows, found = built(root)
    assert set(rows["recording"]) == {"LE 3299/Screen recording 1"}
    assert found["Screen recording 2 - LE_3299.mp4", "second_recording"] == 1


def test_a_named_stimulus_tells_two_recordings_apart(root):
    for number in (1, 2):
        film(root / f"Screen recording {number} - LE 3299.mp4")
    header = "Stimulus Label," + FEA
    lines = "Screen recording 1,LE 3299,Joy,0,4000\nscreen  recording 2,LE 3299,Anger,0,4000\n"
    (root / "FEAExpressionTable.csv").write_text(header + lines)
    rows, _ = built(root)
    joy = np.array(rows["targets"])[:, TARGETS.index("Joy")]
    assert len(rows) == 10 and joy[1:5].tolist() == [1] * 4 and joy[6:].tolist() == [0] * 4


def test_a_copy_stands_beside_its_source_and_unknown_stimuli_are_listed(root):
    for stimulus in ("Task", "Task brighter"):
        film(root / f"{stimulus} - LE 3299.mp4")
    lines = "Task,LE 3299,Joy,0,4000\nTask brighter,LE 3299,Joy,0,4000\nTsk,LE 3299,Joy,0,4000\n"
    (root / "FEAExpressionTable.csv").write_text("Stimulus Label," + FEA + lines)
    (root / "study.yaml").write_text("source_recording: {le_3299/Task  brighter: LE 3299/Task}")
    rows, found = built(root, study=root / "study.yaml")
    assert set(rows["recording"]) == {"LE 3299/Task", "LE 3299/Task brighter"}
    assert set(rows["source_recording"]) == {"LE 3299/Task"}
    assert found["LE 3299", "unknown_stimulus"] == 1
    for wrong, message in (
        ({"LE 3299/Tsk": "LE 3299/Task"}, "no recording 'LE 3299/Tsk'; did you mean 'LE 3299/Task'"),
        ({"LE 3299/Task": "LE 3299/Task"}, "'LE 3299/Task' is itself made from another"),
    ):
        with pytest.raises(ValueError, match=message):
            built(root, study=Study(source_recording=wrong))


def test_a_table_on_another_clock_is_unknown_never_zero(root):
    film(root / "RespCam_LE 3299_Task.mp4")
    annotate(
        root, [f"LE 3299,{name},{t},{t + 900}" for name in ("Joy", "Attention") for t in range(50_000, 54_000, 1000)]
    )
    rows, found = built(root)
    assert found["LE 3299/Task", "other_clock"] == 1
    assert np.isnan(np.array(rows["targets"])).all() and set(rows["attention_label"]) == {-1}


def test_a_folder_of_pictures_says_that_there_is_no_video(root):
    (root / "frame.jpg").write_bytes(b"a picture")
    annotate(root, ["LE 3299,Joy,0,4000"])
    with pytest.raises(ValueError, match=r"there is no video \(.mp4, .*\) in this folder or below it but 1 pictures"):
        built(root)


def test_a_folder_of_something_else_is_no_study(root):
    (root / "prices.csv").write_text("name,cost\ntea,2\n")
    with pytest.raises(
        ValueError, match=r"^[^\n]*no video [^\n]* no table of a study \(FEA[^\n]* as data.root$"
    ) as error:
        built(root)
    assert str(error.value).startswith(str(root))


def test_the_face_camera_is_preferred_to_the_gaze_replay(root):
    film(root / "Screen recording 1 - LE 3299.mp4")
    film(root / "RespCam_LE 3299_Screen recording 1_(x).mp4")
    annotate(root, ["LE 3299,Joy,0,4000"])
    rows, found = built(root)
    assert set(rows["view"]) == {"face_camera"}
    assert found["Screen recording 1 - LE 3299.mp4", "other_view"] == 1


def test_a_truncated_recording_is_used_as_far_as_it_goes(root):
    path = root / "RespCam_LE 3299_Task.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        rng = np.random.default_rng(0)
        for i in range(100):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8), "rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    annotate(root, ["LE 3299,Joy,0,4000"])
    rows, found = built(root)
    assert 2 <= len(rows) < 8 and found["LE 3299/Task", "truncated"] == 1


def test_what_changes_is_built_anew_and_what_does_not_is_not(root, monkeypatch):
    film(root / "RespCam_LE 3299_Task.mp4")
    annotate(root, ["LE 3299,Joy,0,4000", "LE 3299,Attention,3900,4000"])
    assert np.array(built(root)[0]["targets"])[1, TARGETS.index("Joy")] == 1
    assert len(built(root, frames=FrameOptions(every=25, crop_faces=False))[0]) == 2
    assert built(root, labels=AlignOptions(attention_threshold=0.9))[0]["attention_label"][1] == 0
    monkeypatch.setattr(genex_frames, "_store", None)  # nothing is extracted again
    annotate(root, ["LE 3299,Anger,0,4000", "LE 3299,Joy,3900,4000"])
    assert np.array(built(root)[0]["targets"])[1, TARGETS.index("Joy")] == 0


def test_pictures_that_were_deleted_are_extracted_again(root, tmp_path):
    film(root / "RespCam_LE 3299_Task.mp4")
    annotate(root, ["LE 3299,Joy,0,4000"])
    built(root)
    shutil.rmtree(tmp_path / "cache")
    assert read_image(built(root)[0]["image_path"][4]).shape == (48, 64, 3)


def test_parts_of_a_study_that_were_extracted_before_are_not_extracted_again(root, monkeypatch):
    for name in ("AA 0001", "BB 0002", "CC 0003"):
        film(root / f"RespCam_{name}_Task.mp4")
    (root / "RespCam_DD 0004_Task.mp4").write_bytes(b"no video")
    annotate(root, [f"{name},Joy,0,4000" for name in ("AA 0001", "BB 0002", "CC 0003", "DD 0004")])
    for first in range(2):
        extract_study(root, frames=WHOLE, part=slice(first, None, 2))
    monkeypatch.setattr(genex_frames, "_store", None)
    rows, found = built(root)
    assert len(rows) == 15 and found["RespCam_DD 0004_Task.mp4", "broken"] == 1


def test_two_that_extract_the_same_recording_do_it_once(root, tmp_path):
    film(root / "a.mp4")
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(extract_frames, root / "a.mp4", tmp_path / "frames", WHOLE, None) for _ in range(4)]
    results = [call.result() for call in calls]
    assert all(result == results[0] for result in results)
    assert [frame.index for frame in results[0][1]] == [0, 10, 20, 30, 40]


def test_an_interrupted_extraction_continues(root, tmp_path, monkeypatch):
    film(root / "a.mp4")
    options, store = FrameOptions(every=5, crop_faces=False), genex_frames._store
    done = []

    def fail_at_third(frame, *rest):
        if len(done) == 3:
            raise OSError(28, "No space left on device")
        done.append(frame.index)
        return store(frame, *rest)

    monkeypatch.setattr(genex_frames, "_store", fail_at_third)
    with pytest.raises(OSError, match="No space left"):
        extract_frames(root / "a.mp4", tmp_path / "frames", options, None)
    index = next((tmp_path / "frames").rglob(genex_frames.INDEX))
    index.write_text(index.read_text()[:-9])  # and the third line was cut off
    monkeypatch.setattr(genex_frames, "_store", lambda frame, *rest: done.append(frame.index) or store(frame, *rest))
    folder, frames, ends_early = extract_frames(root / "a.mp4", tmp_path / "frames", options, None)
    assert done == [0, 5, 10, 10, 15, 20, 25, 30, 35, 40, 45]
    assert [frame.index for frame in frames] == list(range(0, 50, 5)) and not ends_early
    assert all((folder / frame.file).is_file() for frame in frames)


def test_colour_variants_keep_their_source(root, tmp_path):
    film(root / "RespCam_LE 3299_Task.mp4")
    annotate(root, ["LE 3299,Joy,0,4000"])
    rows, _ = built(root)
    both = add_colour_variants(rows, tmp_path / "variants", ["brightness_down", "hue"])
    assert len(both) == 15 and len(set(both["key"])) == 15
    assert set(both["source_recording"]) == {"LE 3299/Task"} and set(both["participant"]) == {"LE 3299"}
    assert both["recording"][5] == "LE 3299/Task@brightness_down" and both["variant"][14] == "hue"
    changed = read_image(both["image_path"][6]).astype(int) - read_image(rows["image_path"][1])
    assert changed.mean() == pytest.approx(-40, abs=2)
    with pytest.raises(ValueError, match="unknown variant 'sepia'"):
        add_colour_variants(rows, tmp_path, ["sepia"])
    with pytest.raises(ValueError, match="hold colour variants already"):
        add_colour_variants(both, tmp_path)
    assert len(COLOUR_VARIANTS) == 4


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        GenexBuilder(data_dir=tmp_path / "nowhere")


def test_a_lost_picture_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="build the data set again"):
        read_image(tmp_path / "gone.jpg")
