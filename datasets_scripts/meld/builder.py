"""MELD as a `datasets` builder: the authors' folders or archives become rows, and a manifest says what was found.

    from affecthub.datasets_scripts.meld.builder import load_meld, meld_manifest

    meld = load_meld("path/to/MELD")            # DatasetDict: train, validation, test
    manifest = meld_manifest("path/to/MELD")    # pandas.DataFrame, from the same cache

`affecthub inspect meld ROOT` prints the manifest.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import datasets
import pandas as pd

from affecthub.datasets_scripts.files import existing_folder, files_in, fingerprint, rows_cached
from affecthub.datasets_scripts.manifest import Record, read_manifest, write_manifest
from affecthub.datasets_scripts.meld.annotations import (
    EMOTIONS,
    SENTIMENTS,
    Utterance,
    read_annotations,
)
from affecthub.datasets_scripts.meld.archives import unpack_archives
from affecthub.datasets_scripts.meld.clips import mark_shared, split_records
from affecthub.datasets_scripts.meld.files import find_splits
from affecthub.media.source_code import code_digest

logger = logging.getLogger(__name__)

DATASET_SPLITS = {"train": datasets.Split.TRAIN, "dev": datasets.Split.VALIDATION, "test": datasets.Split.TEST}
"""The authors' name, which stands in keys and in the manifest -> the name in the `DatasetDict`."""

_TEXT_FEATURES = {
    "key": datasets.Value("string"),
    "dialogue_id": datasets.Value("int32"),
    "utterance_id": datasets.Value("int32"),
    "text": datasets.Value("string"),
    "speaker": datasets.Value("string"),
    "season": datasets.Value("int32"),
    "episode": datasets.Value("int32"),
    "start": datasets.Value("float64"),
    "end": datasets.Value("float64"),
    "emotion": datasets.ClassLabel(names=list(EMOTIONS)),
    "sentiment": datasets.ClassLabel(names=list(SENTIMENTS)),
}

_MEDIA_FEATURES = {
    f"{medium}_{name}": datasets.Value(dtype)
    for medium in ("video", "audio")
    for name, dtype in (("path", "string"), ("present", "bool"), ("status", "string"))
}


@dataclass
class MeldConfig(datasets.BuilderConfig):
    """What to build: "multimodal", or "text", which never looks at media."""

    twin_policy: str = "prefer_final"
    """One of `meld_clips.TWIN_POLICIES`."""


class MeldBuilder(datasets.GeneratorBasedBuilder):
    """One row an utterance; a row whose clip is missing or broken stays, with its text.

    Columns:
        key: "train/dia0_utt0"; the split by the authors' name (train, dev, test).
        dialogue_id, utterance_id: restart in every split, with gaps.
        text, speaker, season, episode: as published.
        start, end: s from the beginning of the episode.
        emotion, sentiment: `ClassLabel` in the authors' order.
        video_path, audio_path: absolute path of the clip, the same file for both; None where there is nothing to use.
            Plain strings on purpose: what is pushed or written to Parquet can then never hold the copyrighted media.
        video_present, audio_present: whether the file states such a track.
        video_status, audio_status: one of `manifest.STATUSES`.

    The last six exist in "multimodal" alone. `manifest.parquet` and `manifest.md` lie in `cache_dir`.
    """

    config: MeldConfig

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = MeldConfig
    BUILDER_CONFIGS = [MeldConfig(name="multimodal", version=VERSION), MeldConfig(name="text", version=VERSION)]
    DEFAULT_CONFIG_NAME = "multimodal"

    def __init__(self, *, data_dir: str | Path, hash: str | None = None, **kwargs: Any):
        """`data_dir` is the folder; the cache is keyed by its content and by this code unless `hash` is given."""
        self.root = existing_folder(data_dir)
        kwargs.setdefault("dataset_name", "meld")
        super().__init__(data_dir=str(self.root), hash=hash or _fingerprint(self.root), **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        media = _MEDIA_FEATURES if self.config.name == "multimodal" else {}
        return datasets.DatasetInfo(
            description="MELD: utterances of a television series, each with emotion and sentiment.",
            homepage="https://affective-meld.github.io",
            license="annotations GPL-3.0; the clips are copyrighted and must not be redistributed",
            features=datasets.Features(_TEXT_FEATURES | media),
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        # Everything is read and checked here: an error raised while examples are generated would be wrapped.
        root = self.root
        splits = find_splits(root)
        utterances = {f.split: read_annotations(f.annotations, f.split) if f.annotations else [] for f in splits}
        multimodal = self.config.name == "multimodal"
        records = {
            f.split: split_records(f, utterances[f.split], root, self.config.twin_policy, multimodal) for f in splits
        }
        records = mark_shared(records, utterances)
        _log_mended(utterances)
        # `datasets` renames the output folder when it is complete, and the manifest with it.
        everything = [record for found in records.values() for record in found]
        assert self._output_dir is not None
        write_manifest(everything, Path(self._output_dir), _notes(utterances, self.config))
        return [
            datasets.SplitGenerator(
                name=str(DATASET_SPLITS[s]), gen_kwargs={"rows": _rows(u, records[s], root, multimodal)}
            )
            for s, u in utterances.items()
            if u
        ]

    def _generate_examples(self, rows: list[dict]) -> Iterator[tuple[str, dict]]:
        for row in rows:
            yield row["key"], row


def load_meld(
    root: str | Path,
    config: str = "multimodal",
    *,
    twin_policy: str = "prefer_final",
    cache_dir: str | Path | None = None,
    num_proc: int | None = None,
) -> datasets.DatasetDict:
    """Load MELD from a folder that holds it in any shape; what is unchanged since the last time comes from the cache.

    Args:
        root: holds `train_sent_emo.csv`, `dev_sent_emo.csv`, `test_sent_emo.csv` (one is enough) and, for
            "multimodal", the folders `train_splits`, `dev_splits_complete`, `output_repeated_splits_test`, anywhere
            below it. Or it holds MELD.Raw.tar.gz or train/dev/test.tar.gz, which are extracted once, where their
            content is absent.
        config: "multimodal", or "text", which never looks at media.
        twin_policy: "prefer_final" or "plain": which of two files of an utterance is its clip; see
            `meld_clips.TWIN_POLICIES`.
        cache_dir: of `datasets`; by default, its own.
        num_proc: processes that write the rows.

    Returns:
        Splits train, validation and test, those that have a table; columns as in `MeldBuilder`.

    Raises:
        FileNotFoundError: there is no such folder, or no table below it.
        ValueError: a table holds something wrong; the message names the file, the line, the value and the remedy.
    """
    found = _prepared(root, config, twin_policy, cache_dir, num_proc).as_dataset()
    return cast(datasets.DatasetDict, found)


def meld_manifest(
    root: str | Path,
    config: str = "multimodal",
    *,
    twin_policy: str = "prefer_final",
    cache_dir: str | Path | None = None,
    num_proc: int | None = None,
) -> pd.DataFrame:
    """What was found about every row and every stray file; arguments as `load_meld`, whose cache it shares.

    Returns:
        As `manifest.read_manifest`.
    """
    return read_manifest(_prepared(root, config, twin_policy, cache_dir, num_proc).cache_dir)


def _prepared(
    root: str | Path, config: str, twin_policy: str, cache_dir: str | Path | None, num_proc: int | None
) -> MeldBuilder:
    folder = existing_folder(root)
    unpack_archives(folder, clips=config == "multimodal")
    builder = MeldBuilder(
        data_dir=folder, config_name=config, twin_policy=twin_policy, cache_dir=cache_dir and str(cache_dir)
    )
    with rows_cached():
        builder.download_and_prepare(num_proc=num_proc)
    return builder


def _fingerprint(root: Path) -> str:
    splits = find_splits(root)
    tables = [files.annotations for files in splits if files.annotations]
    return fingerprint(
        root, tables, [clip for files in splits for clip in files_in(files.clips)], code_digest(__name__)
    )


def _rows(utterances: list[Utterance], records: list[Record], root: Path, multimodal: bool) -> list[dict]:
    """The examples of one split; the records of the utterances come first, in their order."""
    return [
        {name: getattr(utterance, name) for name in _TEXT_FEATURES} | (_media(record, root) if multimodal else {})
        for utterance, record in zip(utterances, records, strict=False)
    ]


def _media(record: Record, root: Path) -> dict[str, str | bool | None]:
    path = str(root / record.file) if record.file else None
    return {
        "video_path": path if record.video_present else None,
        "video_present": record.video_present,
        "video_status": record.video_status,
        "audio_path": path if record.audio_present else None,
        "audio_present": record.audio_present,
        "audio_status": record.audio_status,
    }


def _log_mended(utterances: dict[str, list[Utterance]]) -> None:
    for split, rows in utterances.items():
        count = sum(utterance.mended_characters for utterance in rows)
        if count:
            logger.warning(
                "%s_sent_emo.csv: %d characters were Windows-1252, not UTF-8, and were mended in memory; the authors' "
                "present tables need no mending",
                split,
                count,
            )


def _notes(utterances: dict[str, list[Utterance]], config: MeldConfig) -> str:
    """Markdown: how the data was built, and its labels."""
    lines = ["", "## Labels", ""]
    splits = [split for split, rows in utterances.items() if rows]
    for field, names in {"emotion": EMOTIONS, "sentiment": SENTIMENTS}.items():
        counts = {split: Counter(getattr(u, field) for u in utterances[split]) for split in splits}
        lines += [f"| {field} | {' | '.join(splits)} |", f"|---|{'---:|' * len(splits)}"]
        lines += [f"| {name} | {' | '.join(str(counts[s][name]) for s in splits)} |" for name in names] + [""]
    lines.append(f"Folder `{config.data_dir}`, configuration {config.name}, twin_policy {config.twin_policy}.")
    return "\n".join(lines) + "\n"
