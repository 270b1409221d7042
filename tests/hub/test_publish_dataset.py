"""Rows of the builders on the Hub: features and annotations alone, loadable by name, and no trace of this machine."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pyarrow.parquet as pq
import pytest
import soundfile
from datasets import Dataset, DatasetDict, Features, Image, List, Value, load_dataset
from huggingface_hub import DatasetCard

from affecthub.datasets_scripts.clips.corpus import Clips
from affecthub.datasets_scripts.corpus import Corpus, DataCard
from affecthub.datasets_scripts.genex.builder import FrameOptions, load_genex
from affecthub.datasets_scripts.meld.builder import load_meld
from affecthub.datasets_scripts.synthetic.clip import encode_clip
from affecthub.datasets_scripts.synthetic.utterances import render_sample_meld
from affecthub.hub import publish_dataset as module
from affecthub.hub.publish_dataset import publish_dataset

NAME = "tester/rows"
CARD = DataCard(
    license="gpl-3.0", description="Rows.", citation="Poria et al. 2019", notes=("A note.",), limits=("A limit.",)
)
LOADER = """
import sys
from datasets import load_dataset
meld, genex = load_dataset(sys.argv[1]), load_dataset(sys.argv[2])
row = meld["train"][0]
print({split: len(rows) for split, rows in meld.items()}, meld["train"].features["emotion"].names[:2], row["key"])
print({split: len(rows) for split, rows in genex.items()}, len(genex["train"][0]["physio_values"]))
"""


def corpus_of(rows):
    """Rows as a synthetic data set describes itself."""
    splits = dict(rows) if isinstance(rows, DatasetDict) else {"frames": rows}
    return Corpus("Sample", "utterances", splits, targets=(), card=CARD, synthetic=True)


@pytest.fixture(scope="module")
def meld(tmp_path_factory):
    root = tmp_path_factory.mktemp("meld")
    return load_meld(render_sample_meld(root, train=4, dev=2, test=2), cache_dir=root / "rows")


@pytest.fixture(scope="module")
def genex(tmp_path_factory):
    root = tmp_path_factory.mktemp("genex")
    (root / "study").mkdir()
    table = "Respondent Name,Expression Type,Expression Onset,Expression Offset\nLE 3299,Smile,0,1000\n"
    (root / "study" / "FEAExpressionTable.csv").write_text(table)
    film = encode_clip(np.full((25, 48, 64, 3), 200, np.uint8), None)
    (root / "study" / "Screen recording 1 - LE 3299.mp4").write_bytes(film)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFECTHUB_CACHE", str(root / "pictures"))
        return load_genex(root / "study", frames=FrameOptions(every=10, crop_faces=False), cache_dir=root / "rows")


def loaded(hub, folder, name=NAME):
    """The repository's files in a folder, as `load_dataset` reads a folder or a repository."""
    for path, content in hub.files(name, kind="dataset").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return load_dataset(str(folder), cache_dir=str(folder / "cache"))


def test_meld_comes_back_without_its_media(meld, hub, tmp_path):
    url = publish_dataset(corpus_of(meld), NAME, keep_names=True)
    repo = hub.repos["dataset", NAME]
    assert repo.private and len(repo.commits) == 2
    assert url == f"{hub.url}/datasets/{NAME}/commit/{repo.refs['main']}"
    back = loaded(hub, tmp_path)
    plain = meld.remove_columns(["video_path", "audio_path"])
    assert back.keys() == plain.keys() == {"train", "validation", "test"}
    for split, rows in back.items():
        assert rows.features == plain[split].features
        assert rows.to_list() == plain[split].to_list()


def test_genex_comes_back_without_faces_and_recordings(genex, hub, tmp_path):
    publish_dataset(corpus_of(genex), NAME, keep_names=True)
    rows = loaded(hub, tmp_path)["train"]
    assert set(genex.column_names) - set(rows.column_names) == {"image_path", "recording_path"}
    assert rows["key"][:] == genex["key"][:] and rows.features["physio_values"] == genex.features["physio_values"]


def test_a_fresh_process_loads_both_by_name(meld, genex, hub, tmp_path):
    publish_dataset(corpus_of(meld), NAME, keep_names=True)
    publish_dataset(corpus_of(genex), "tester/frames")
    environment = os.environ | hub.environment(tmp_path / "hf_home")
    done = subprocess.run(
        [sys.executable, "-c", LOADER, NAME, "tester/frames"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == [
        f"{{'train': 4, 'validation': 2, 'test': 2}} ['neutral', 'surprise'] {meld['train'][0]['key']}",
        f"{{'train': {len(genex)}}} 33",
    ]


def test_no_file_names_this_machine(meld, genex, hub, tmp_path):
    publish_dataset(corpus_of(meld), NAME, include_media=True)
    publish_dataset(corpus_of(genex), "tester/frames", include_media=True)
    here = str(tmp_path.parent.parent).encode()
    for name in (NAME, "tester/frames"):
        for path, content in hub.files(name, kind="dataset").items():
            assert here not in content
            if path.endswith(".parquet"):
                table = pq.read_table(BytesIO(content))
                assert here.decode() not in str(table.schema.metadata) + str(table.to_pylist())


def test_media_only_when_asked_by_name_and_after_a_warning(meld, genex, hub, tmp_path, caplog):
    publish_dataset(corpus_of(meld), NAME)
    assert "consented" not in caplog.text
    publish_dataset(corpus_of(meld), NAME, include_media=True)
    assert "must have consented" in caplog.text and "yours to share" in caplog.text
    clips = loaded(hub, tmp_path / "meld")["train"]["clip"]
    for path, clip in zip(meld["train"]["video_path"], clips, strict=True):
        assert clip["bytes"] == Path(path).read_bytes() if path else clip is None
    publish_dataset(corpus_of(genex), "tester/frames", include_media=True)
    images = loaded(hub, tmp_path / "genex", "tester/frames")["train"]["image"]
    assert [image.size for image in images] == [(64, 48)] * len(genex)
    assert "## Recordings" in hub.files("tester/frames", kind="dataset")["README.md"].decode()


def test_media_in_the_rows_themselves_stay_behind(hub, tmp_path):
    picture = {"bytes": b"png", "path": None}
    rows = Dataset.from_dict(
        {"text": ["a"], "face": [picture], "voice": [b"wav"]},
        features=Features({"text": Value("string"), "face": Image(), "voice": Value("binary")}),
    )
    publish_dataset(corpus_of(rows), NAME)
    assert loaded(hub, tmp_path)["train"].column_names == ["text"]
    assert ": face, voice. No picture, sound or video" in hub.files(NAME, kind="dataset")["README.md"].decode()


def test_large_splits_are_sharded_and_come_back_in_order(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD_BYTES", 4000)
    rows = Dataset.from_dict({"number": list(range(2000))})
    publish_dataset(corpus_of(rows), NAME)
    shards = sorted(path for path in hub.files(NAME, kind="dataset") if path.endswith(".parquet"))
    assert shards == [f"data/train-{index:05d}-of-00004.parquet" for index in range(4)]
    assert loaded(hub, tmp_path)["train"]["number"][:] == list(range(2000))


def test_fewer_shards_the_next_time_leave_no_old_one(hub, tmp_path, monkeypatch):
    rows = Dataset.from_dict({"number": list(range(2000))})
    monkeypatch.setattr(module, "SHARD_BYTES", 4000)
    publish_dataset(corpus_of(rows), NAME)
    assert len(hub.files(NAME, kind="dataset")) == 5
    monkeypatch.setattr(module, "SHARD_BYTES", 10**6)
    publish_dataset(corpus_of(rows), NAME)
    assert hub.files(NAME, kind="dataset").keys() == {"README.md", "data/train-00000-of-00001.parquet"}


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("/home/ada/clip.mp4", "a local path"),
        ("C:\\Users\\ada\\clip.mp4", "a local path"),
        ("file:///clip.mp4", "a local path"),
        ("hf_" + "A" * 34, "an access token"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_text_that_must_not_go_is_refused_by_its_column(value, what, nested, hub):
    texts = ["fine", value]
    rows = Dataset.from_dict(
        {"key": ["1", "2"], "source": [[text] for text in texts] if nested else texts},
        features=Features({"key": Value("string"), "source": List(Value("string")) if nested else Value("string")}),
    )
    with pytest.raises(ValueError, match=f"^Column 'source' of split 'train' holds {what}") as caught:
        publish_dataset(corpus_of(rows), NAME)
    assert value not in str(caught.value) and hub.requests == []


@pytest.mark.parametrize("text", ["Either/or, you know.", "1/2 of it", "see https://example.org/a", "/shrug"])
def test_plain_talk_is_no_path(text, hub):
    assert publish_dataset(corpus_of(Dataset.from_dict({"text": [text]})), NAME)


def test_the_card_parses_and_says_what_is_there(meld, hub):
    meld = DatasetDict(
        {split: rows.add_column("topics", [["rain", "tea"]] * len(rows)) for split, rows in meld.items()}
    )
    publish_dataset(corpus_of(meld), NAME)
    card = DatasetCard(hub.files(NAME, kind="dataset")["README.md"].decode())
    assert card.data.license == "gpl-3.0" and "synthetic" in card.data.tags and card.data.size_categories == ["n<1K"]
    assert card.data.configs[0]["data_files"][0] == {"split": "train", "path": "data/train-*.parquet"}
    assert f'load_dataset("{NAME}")' in card.text and "> **Synthetic.**" in card.text
    assert "Left out on purpose" in card.text and ": video_path, audio_path." in card.text
    counts = [meld[split]["emotion"].count(0) for split in meld]
    assert f"| neutral | {' | '.join(map(str, counts))} |" in card.text
    assert all(text in card.text for text in ("- A note.", "- A limit.", "## Citation", "Poria et al. 2019"))
    assert "list of string" in card.text and "## Recordings" not in card.text
    assert "{{" not in card.text and "{%" not in card.text


def test_what_cannot_be_published(meld, hub, monkeypatch):
    with pytest.raises(ValueError, match="Sample has no rows"):
        publish_dataset(corpus_of(meld["train"].select([])), NAME)
    with pytest.raises(ValueError, match="names no owner"):
        publish_dataset(corpus_of(meld), "rows")
    gone = Dataset.from_dict({"image_path": ["/no/such/picture.jpg"]})
    with pytest.raises(FileNotFoundError, match="picture.jpg"):
        publish_dataset(corpus_of(gone), NAME, include_media=True)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(OSError, match="hf auth login"):
        publish_dataset(corpus_of(meld), NAME)
    assert hub.repos == {}


def test_segments_of_longer_files_go_without_them(hub):
    rows = Dataset.from_dict({"key": ["a"], "audio_path": ["long.wav"], "clip_start": [3.0], "clip_end": [4.0]})
    with pytest.raises(ValueError, match="Sample: its rows are segments of longer files"):
        publish_dataset(corpus_of(rows), NAME, include_media=True)
    publish_dataset(corpus_of(rows), NAME)
    assert hub.repos["dataset", NAME].commits


def written(path, **info):
    """A picture, or a clip of a tenth of a second, in which something is written."""
    if path.suffix == ".jpg":
        exif = PIL.Image.Exif()
        exif.update({number: value for number, value in info.pop("exif", {}).items()})
        PIL.Image.new("RGB", (8, 6)).save(path, exif=exif, **info)
    elif path.suffix == ".png":
        texts = PIL.PngImagePlugin.PngInfo()
        for name, value in info.items():
            texts.add_text(name, value)
        PIL.Image.new("RGB", (8, 6)).save(path, pnginfo=texts)
    else:
        with av.open(path, "w") as target:
            target.metadata.update(info)
            stream = target.add_stream("aac", rate=16_000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), "s16", "mono")
            frame.rate = 16_000
            target.mux([*stream.encode(frame), *stream.encode()])
    return path


@pytest.mark.parametrize(
    ("name", "info", "told"),
    [
        ("a.jpg", {"exif": {0x8825: {1: "N", 2: (48.0, 8.0, 6.0)}}}, "GPSInfo"),
        ("a.jpg", {"exif": {0x013B: "Jane Doe", 0x8769: {0xA430: "Jane Doe"}}}, "Artist, CameraOwnerName"),
        ("a.jpg", {"xmp": b"<creator>Jane Doe</creator>"}, "XMP"),
        ("a.jpg", {"comment": b"Jane, at home"}, "comment"),
        ("a.png", {"Author": "Jane Doe"}, "Author"),
        ("a.m4a", {"artist": "Jane Doe"}, "artist"),
        ("a.m4a", {"location": "+48.1351+011.5820/"}, "location.*"),
        ("a.jpg", {"exif": {0x0112: 6, 0x0131: "Camera 1.0"}, "comment": b"Lavc60.3.100"}, None),
        ("a.png", {"Software": "Camera 1.0"}, None),
        ("a.m4a", {}, None),
    ],
)
def test_what_is_written_in_a_file_stays_home(name, info, told, hub, tmp_path):
    path = written(tmp_path / name, **info)
    rows = Dataset.from_dict({"key": ["x"], f"{'audio' if name[2] == 'm' else 'image'}_path": [str(path)]})
    corpus = replace(corpus_of(rows), synthetic=False)
    if told is None:
        publish_dataset(corpus, NAME, include_media=True)
        return
    with pytest.raises(ValueError, match=f"^{name}: {told}: what is written in the file may tell .*exiftool"):
        publish_dataset(corpus, NAME, include_media=True)
    assert hub.repos == {}
    publish_dataset(corpus, NAME, include_media=True, keep_names=True)


def test_several_pictures_of_a_row_go_together(hub, tmp_path):
    for name in ("a", "b"):
        PIL.Image.new("RGB", (8, 6), name == "a" and "red" or "blue").save(tmp_path / f"{name}.png")
    rows = Dataset.from_dict({"key": ["x"], "image_paths": [[str(tmp_path / "a.png"), str(tmp_path / "b.png")]]})
    publish_dataset(corpus_of(rows), NAME, include_media=True)
    (row,) = loaded(hub, tmp_path / "back")["train"]
    assert [image.getpixel((0, 0)) for image in row["images"]] == [(255, 0, 0), (0, 0, 255)]


def test_a_full_quota_leaves_nothing_behind(meld, hub):
    hub.fail("status", "POST /datasets/.*info/lfs", status=403, message="storage limit reached", times=9)
    with pytest.raises(OSError, match="storage limit reached.*quota"):
        publish_dataset(corpus_of(meld), NAME)
    assert hub.files(NAME, kind="dataset") == {}


OWN = """
import json, sys
from affecthub.datasets_scripts.clips.corpus import Clips
data = Clips(root=sys.argv[1], targets=["emotion"])
corpus = data.describe(data.build(["audio"]))
rows = next(iter(corpus.splits.values()))
said = [list(rows[name]) for name in ("emotion", "participant", "audio_present")]
print(json.dumps([corpus.name, list(corpus.splits), corpus.card.hub_id, *said]))
"""


def test_own_recordings_go_up_and_come_back_as_a_data_set_of_the_hub(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path / "cache"))
    for i in range(4):
        soundfile.write(tmp_path / f"{i}.wav", np.random.default_rng(i).normal(0, 0.1, 4000), 8000)
    lines = ["file,emotion,speaker", *(f"{i}.wav,{'joy' if i % 2 else 'anger'},p{i}" for i in range(4))]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    data = Clips(root=str(tmp_path / "mine.csv"), targets=["emotion"], name="Mine", license="cc-by-4.0")
    corpus = data.describe(data.build(["audio"]))
    publish_dataset(corpus, NAME)
    assert "audio_path" not in pq.read_table(BytesIO(parquet_of(hub))).column_names
    publish_dataset(corpus, NAME, include_media=True, keep_names=True)
    assert hub.files(NAME, kind="dataset")["README.md"].decode().count("license: cc-by-4.0") == 1
    environment = os.environ | hub.environment(tmp_path / "other") | {"HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", OWN, NAME]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    name, splits, hub_id, labels, people, heard = json.loads(done.stdout.splitlines()[-1])
    assert (name, splits, hub_id) == ("rows", ["train"], NAME)
    assert (labels, people, heard) == ([0, 1, 0, 1], ["p0", "p1", "p2", "p3"], [True] * 4)


def parquet_of(hub):
    (content,) = (value for path, value in hub.files(NAME, kind="dataset").items() if path.endswith(".parquet"))
    return content
