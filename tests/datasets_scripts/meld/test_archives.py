import io
import random
import shutil
import tarfile

import pytest

from affecthub.datasets_scripts.meld import archives
from affecthub.datasets_scripts.meld.archives import unpack, unpack_archives


def tar(path, files):
    """A .tar.gz with these files: name -> bytes."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_split_archives_become_folders_once(tmp_path):
    tar(tmp_path / "train.tar.gz", {"train_splits/dia0_utt0.mp4": b"clip", "train_sent_emo.csv": b"table"})
    assert unpack_archives(tmp_path) == [tmp_path / "train"]
    assert names(tmp_path) == ["train.tar.gz", "train/train_sent_emo.csv", "train/train_splits/dia0_utt0.mp4"]
    assert unpack_archives(tmp_path) == []


def test_the_outer_archive_and_those_within(tmp_path):
    folders = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
    inner = {s: tar(tmp_path / f"{s}.tar.gz", {f"{folders[s]}/dia0_utt0.mp4": b"x"}) for s in folders}
    root = tmp_path / "root"
    root.mkdir()
    tar(root / "MELD.Raw.tar.gz", {f"MELD.Raw/{p.name}": p.read_bytes() for p in inner.values()})
    made = unpack_archives(root)
    assert [path.relative_to(root).as_posix() for path in made] == [
        "MELD.Raw", "MELD.Raw/MELD.Raw/train", "MELD.Raw/MELD.Raw/dev", "MELD.Raw/MELD.Raw/test",
    ]  # fmt: skip
    assert (made[3] / "output_repeated_splits_test/dia0_utt0.mp4").read_bytes() == b"x"


def test_what_is_there_is_not_unpacked_again(tmp_path):
    tar(tmp_path / "dev.tar.gz", {"dev_splits_complete/dia0_utt0.mp4": b"x"})
    tar(tmp_path / "MELD.Raw.tar.gz", {"MELD.Raw/README": b"x"})
    (tmp_path / "elsewhere/dev_splits_complete").mkdir(parents=True)
    (tmp_path / "dev_sent_emo.csv").write_text("x")
    assert unpack_archives(tmp_path) == []
    assert unpack_archives(tmp_path, clips=False) == []


def test_text_needs_the_table_alone(tmp_path):
    tar(tmp_path / "train.tar.gz", {"train_sent_emo.csv": b"table"})
    (tmp_path / "train_sent_emo.csv").write_text("table")
    assert unpack_archives(tmp_path, clips=False) == []
    (tmp_path / "train_sent_emo.csv").unlink()
    assert unpack_archives(tmp_path, clips=False) == [tmp_path / "train"]


@pytest.mark.parametrize("name", ["../outside.csv", "a/../../outside.csv"])
def test_a_path_cannot_escape(tmp_path, name):
    (tmp_path / "root").mkdir()
    archive = tar(tmp_path / "root/train.tar.gz", {"fine.txt": b"x", name: b"x"})
    with pytest.raises(ValueError, match=r"train.tar.gz: .*outside.*fetch it from the authors"):
        unpack(archive)
    assert names(tmp_path) == ["root/train.tar.gz"]


@pytest.mark.parametrize("files", [{"a": b"x", "a/b": b"x"}, {"": b"x"}, {"a" * 300: b"x"}])
def test_what_no_folder_can_hold_is_told(tmp_path, files):
    with pytest.raises(ValueError, match=r"train.tar.gz: .*fetch it"):
        unpack(tar(tmp_path / "train.tar.gz", files))
    assert names(tmp_path) == ["train.tar.gz"]


def test_a_link_cannot_escape(tmp_path):
    with tarfile.open(tmp_path / "train.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("train_splits")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    with pytest.raises(ValueError, match=r"train.tar.gz"):
        unpack(tmp_path / "train.tar.gz")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([(".", ".")], "a link leads to itself"),
        ([("b/c", ""), ("b", "b/c")], "a link leads to itself"),
        ([("a", "a"), ("a", None)], "a link leads to itself"),
        ([("a", "b/c"), ("a", None)], "a name or link that no folder can hold"),
    ],
)
def test_a_link_to_itself_or_to_nothing_is_told(tmp_path, members, said):
    with tarfile.open(tmp_path / "train.tar.gz", "w:gz") as archive:
        for name, aim in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = (tarfile.REGTYPE, "") if aim is None else (tarfile.SYMTYPE, aim)
            archive.addfile(member)
    with pytest.raises(ValueError, match=f"train.tar.gz: {said}.*this is not MELD's archive"):
        unpack(tmp_path / "train.tar.gz")
    assert names(tmp_path) == ["train.tar.gz"]


def test_a_byte_that_was_flipped_is_found_by_the_check_sum(tmp_path):
    content = bytes(random.Random(0).randbytes(100_000))  # is stored as it is, so that only the sum can tell
    archive = tar(tmp_path / "train.tar.gz", {"train_splits/a.mp4": content})
    raw = bytearray(archive.read_bytes())
    raw[len(raw) // 2] ^= 1
    archive.write_bytes(raw)
    with pytest.raises(ValueError, match=r"train.tar.gz: damaged or cut off \(CRC check failed.*fetch it again"):
        unpack(archive)
    assert names(tmp_path) == ["train.tar.gz"]


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("archive_ratio=20", r"its [0-9,]+ bytes expand to over [0-9,]+; 20 is the limit"),
        ("archive_ratio=5000,archive_bytes=1e6", r"over [0-9,]+ bytes come out of it; 1,000,000 is the limit"),
        ("archive_ratio=5000,archive_members=1", "it holds over 1 files and folders; 1 is the limit"),
    ],
)
def test_an_archive_that_expands_too_far_is_stopped(tmp_path, monkeypatch, limit, message):
    monkeypatch.setenv("AFFECTHUB_LIMITS", limit)
    monkeypatch.setattr(archives, "FREE_EXPANSION", 2**20)
    archive = tar(tmp_path / "train.tar.gz", {"a": b"", "train_splits/a.mp4": bytes(2**23)})
    with pytest.raises(ValueError, match=f"train.tar.gz: {message}"):
        unpack(archive)
    assert names(tmp_path) == ["train.tar.gz"]


@pytest.mark.parametrize(
    "damage",
    [lambda raw: raw[: len(raw) // 2], lambda raw: b"no archive at all", lambda raw: b"", lambda raw: raw[:-4]],
)
def test_damaged_archive_leaves_nothing_behind(tmp_path, damage):
    archive = tar(tmp_path / "train.tar.gz", {"train_splits/a.mp4": bytes(range(256)) * 4000})
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(ValueError, match=r"train.tar.gz: damaged or cut off .*fetch it again"):
        unpack(archive)
    assert names(tmp_path) == ["train.tar.gz"]
    assert [path.name for path in tmp_path.iterdir()] == ["train.tar.gz"]


def test_a_folder_in_the_way(tmp_path):
    tar(tmp_path / "train.tar.gz", {"train_splits/a.mp4": b"x"})
    (tmp_path / "train").mkdir()
    with pytest.raises(FileExistsError, match=r"train is there, but not all that train.tar.gz holds; move it away"):
        unpack_archives(tmp_path)


def test_no_space(tmp_path, monkeypatch):
    archive = tar(tmp_path / "train.tar.gz", {"train_splits/a.mp4": b"x"})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(OSError, match=r"train.tar.gz: extracting takes about .* free some space"):
        unpack(archive)
