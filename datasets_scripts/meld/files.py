"""Where MELD lies on a disk: the tables, the folders of clips and the archives, found by name below a root."""

from dataclasses import dataclass
from pathlib import Path

from affecthub.datasets_scripts.files import named_below, the_one

CLIP_FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
"""The authors' split -> the folder that its archive extracts to."""

OUTER_ARCHIVE = "MELD.Raw.tar.gz"
"""The published file; holds one archive per split."""


@dataclass(frozen=True)
class SplitFiles:
    """What was found of one split; `annotations` and `clips` are not both None."""

    split: str
    """The authors' name: "train", "dev" or "test"."""
    annotations: Path | None
    """`{split}_sent_emo.csv`."""
    clips: Path | None
    """One of `CLIP_FOLDERS`."""


def find_splits(root: Path) -> list[SplitFiles]:
    """Every split of which a table or a folder of clips lies below `root`, in the order train, dev, test.

    Raises:
        FileNotFoundError: no annotation table lies below `root`.
        ValueError: two different tables, or two folders of clips, bear the same name.
    """
    tables = {split: f"{split}_sent_emo.csv" for split in CLIP_FOLDERS}
    found = named_below(root, {*tables.values(), *CLIP_FOLDERS.values()})
    if not any(found[name] for name in tables.values()):
        raise FileNotFoundError(
            f"{root}: none of {', '.join(tables.values())} lies in this folder or below it (links to folders are not "
            "followed); copy the tables of MELD's repository there"
        )
    splits = [SplitFiles(s, the_one(found[tables[s]]), the_one(found[CLIP_FOLDERS[s]])) for s in CLIP_FOLDERS]
    return [files for files in splits if files.annotations or files.clips]
