"""Publishing a data set's rows: Parquet and a card in one commit; annotations and features, nobody's name."""

import itertools
import logging
import math
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Audio, ClassLabel, Dataset, Image, List, Value, Video
from datasets.table import embed_table_storage
from huggingface_hub import DatasetCard, DatasetCardData

from affecthub.datasets_scripts.corpus import SPLITS, Corpus
from affecthub.evaluation.private import TOKENS, WHOLE_PATH, Pseudonyms, public_words, renamed, without_paths
from affecthub.hub.card import TEMPLATE
from affecthub.hub.markdown import all_plain, fenced, plain
from affecthub.hub.push import push, require_repo_id
from affecthub.media.written_in import written_in

logger = logging.getLogger(__name__)

CARD_TEMPLATE = TEMPLATE.with_name("dataset_template.md")

SHARD_BYTES = 500_000_000
"""Of Arrow data in one Parquet file, about."""

BATCH = 1000
"""Rows that are searched or embedded at a time."""

PATH_SUFFIXES = ("_path", "_paths")
"""Of columns that say where a recording lies on this machine."""

MEDIA = {
    "image": (("image_path",), Image()),
    "images": (("image_paths",), List(Image())),
    "clip": (("video_path", "audio_path"), Video(decode=False)),
}
"""Column that holds a file's bytes -> the paths it is read from, the first that is known, and its type. Of a moment of
a recording its picture is the medium, never the whole recording."""

SPOKEN = "text"
"""The column that holds what people said, names too, and is published as it is."""

FORBIDDEN = {
    "a local path": WHOLE_PATH,
    "an access token of the Hub": TOKENS.pattern,
}
"""What no text may be: a path of this machine, or hold: a token."""


def publish_dataset(
    corpus: Corpus,
    repo_id: str,
    *,
    private: bool = True,
    token: str | None = None,
    include_media: bool = False,
    keep_names: bool = False,
) -> str:
    """Publish rows as a data set that `datasets.load_dataset(repo_id)` loads; everything in one commit, or nothing.

    Columns that hold local paths, and media in the rows themselves, stay behind; the card names them. Participants,
    recordings, dialogues and keys become pseudonyms, see `evaluation.private`.

    Args:
        corpus: as a data set describes itself; rows that are not divided become the split "train".
        repo_id: "owner/name"; it is made where it does not exist, and what it held before is replaced.
        private: whether a new repository is private.
        token: of the Hub; by default that of `hf auth login` or HF_TOKEN.
        include_media: whether to publish the pictures and clips of the rows as well, with a warning: that takes the
            consent of everyone to be seen or heard, and the rights to the recordings.
        keep_names: whether to publish names as they are, also what a camera or a program wrote into a picture or clip
            about its place, its owner and its people.

    Returns:
        The address of the commit.

    Raises:
        FileNotFoundError: a file that a row names is gone, with `include_media`.
        ValueError: there are no rows, or a text is a local path, or holds an access token or, where nobody speaks, the
            name of a participant; the column is named; or, with `include_media`, rows are segments of longer files, or
            something in a file tells where it was made, or whose it is.
        OSError: there is no token, or the Hub refuses or cannot be reached; with the remedy.
    """
    require_repo_id(repo_id)
    splits = {name if name in SPLITS else "train": rows for name, rows in corpus.splits.items() if len(rows)}
    if not splits:
        raise ValueError(f"{corpus.name} has no rows to publish.")
    if include_media:
        _check_whole(splits, corpus.name)
        logger.warning(
            "Pictures and clips of %s go to %s whole: everyone to be seen or heard must have consented to that, and "
            "the recordings must be yours to share.",
            corpus.name,
            repo_id,
        )
    columns = next(iter(splits.values())).column_names
    splits = {split: _publishable(dataset, include_media) for split, dataset in splits.items()}
    names, people = None, {}
    if not keep_names:
        pseudonyms, found = Pseudonyms(corpus.name), corpus.names()
        names = pseudonyms.table(found, asdict(corpus.card))
        people = pseudonyms.table({"participant": found.get("participant", ())})
        splits = {split: _renamed(dataset, corpus.naming, pseudonyms) for split, dataset in splits.items()}
    for split, dataset in splits.items():
        _search(dataset, split, people)
    left_out = [name for name in columns if name not in next(iter(splits.values())).column_names]
    with tempfile.TemporaryDirectory() as folder:
        files = {
            f"data/{path.name}": path
            for split in splits
            for path in _shards(splits[split], split, Path(folder), keep_names or corpus.synthetic)
        }
        card = render_dataset_card(splits, corpus, repo_id, left_out, names)
        files |= {"README.md": card.content.encode()}
        return push(files, repo_id, "dataset", private=private, token=token, message=None)


def render_dataset_card(
    splits: Mapping[str, Dataset],
    corpus: Corpus,
    repo_id: str,
    left_out: list[str],
    names: Mapping[str, str] | None = None,
) -> DatasetCard:
    """The card: front matter that says where each split lies, and a page.

    Args:
        splits: what is published.
        corpus: where it comes from.
        repo_id: "owner/name".
        left_out: names of columns.
        names: name -> pseudonym, of people and recordings.
    """
    rows = sum(map(len, splits.values()))
    data = DatasetCardData(
        pretty_name=plain(corpus.public_name),
        license=corpus.card.license,
        language=list(corpus.card.language) or None,
        tags=["affecthub", "emotion-recognition", *(["synthetic"] if corpus.synthetic else [])],
        size_categories=[_size_category(rows)],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits],
            }
        ],
    )
    features = next(iter(splits.values())).features
    words = all_plain(public_words(asdict(corpus.card), names or {}))
    return DatasetCard.from_template(
        data,
        template_path=str(CARD_TEMPLATE),
        name=plain(corpus.public_name),
        synthetic=corpus.synthetic,
        card=words,
        citation=without_paths(corpus.card.citation),
        fenced=fenced,
        plain=plain,
        renamed=names is not None,
        repo_id=repo_id,
        splits={split: len(dataset) for split, dataset in splits.items()},
        columns={plain(name): plain(_type_name(feature)) for name, feature in features.items()},
        labels={
            plain(name): all_plain(_label_counts(splits, name))
            for name, feature in features.items()
            if isinstance(feature, ClassLabel)
        },
        media=[name for name in MEDIA if name in features],
        left_out=list(map(plain, left_out)),
    )


def _publishable(dataset: Dataset, include_media: bool) -> Dataset:
    """The columns that may go; with media, those that will hold the files' bytes, as their paths for now."""
    keep = dataset
    for name, (sources, feature) in MEDIA.items() if include_media else ():
        if held := [dataset[source] for source in sources if source in dataset.column_names]:
            paths = [next(filter(None, options), None) for options in zip(*held, strict=True)]
            if name == "clip" and "video_path" not in dataset.column_names:
                feature = Audio(decode=False)  # nothing but sound
            kind = pa.list_(pa.string()) if isinstance(feature, List) else pa.string()
            keep = keep.add_column(name, pa.array(paths, kind)).cast_column(name, feature)
    media = () if include_media else [name for name, feature in keep.features.items() if _is_medium(feature)]
    return keep.remove_columns([name for name in keep.column_names if name.endswith(PATH_SUFFIXES) or name in media])


def _check_whole(splits: Mapping[str, Dataset], name: str) -> None:
    """ValueError where rows are segments: each would carry all of its recording."""
    for rows in splits.values():
        if "clip_start" in rows.column_names and any(start is not None for start in rows["clip_start"]):
            raise ValueError(f"{name}: its rows are segments of longer files; cut these, or publish without media.")


def _is_medium(feature: object) -> bool:
    """Whether a column holds recordings, or bytes that could be anything."""
    feature = getattr(feature, "feature", feature)
    bytes_ = isinstance(feature, Value) and "binary" in feature.dtype
    return bytes_ or isinstance(feature, Image | Audio | Video)


def _renamed(dataset: Dataset, naming: Mapping[str, str], pseudonyms: Pseudonyms) -> Dataset:
    """Rows with pseudonyms in the columns of texts that name people, recordings, dialogues and rows."""
    place = dataset.column_names
    for column, sort in naming.items():
        feature = dataset.features.get(column)
        if isinstance(feature, Value) and "string" in feature.dtype:
            values = dataset.with_format(None)[column][:]
            changed = pa.array([value if value is None else pseudonyms.of(sort, value) for value in values])
            dataset = dataset.remove_columns([column]).add_column(column, changed, feature=feature)
    return dataset.select_columns(place)


def _search(dataset: Dataset, split: str, people: Mapping[str, str]) -> None:
    """ValueError for the first text that is a local path, or holds a token or, but for what was said, a name."""
    named = "|".join(map(re.escape, sorted(name for name in people if renamed(name, people) != name)))
    named = {"the name of a participant": rf"(?:^|\W)(?:{named})(?:$|\W)"} if named else {}
    for batch in cast(Iterator[pa.Table], dataset.with_format("arrow").iter(BATCH)):
        for name, column in zip(batch.column_names, batch.columns, strict=True):
            texts = column.combine_chunks()
            while pa.types.is_list(texts.type) or pa.types.is_large_list(texts.type):
                texts = texts.flatten()
            patterns = FORBIDDEN if name == SPOKEN else FORBIDDEN | named
            for what, pattern in patterns.items() if pa.types.is_string(texts.type) else ():
                matches = pc.match_substring_regex(texts, pattern)  # pyright: ignore[reportAttributeAccessIssue]
                if found := matches.true_count:
                    raise ValueError(
                        f"Column {name!r} of split {split!r} holds {what} ({found} of {len(texts)} texts): remove the "
                        "column or mend its values, then publish."
                    )


def _shards(dataset: Dataset, split: str, folder: Path, keep_written: bool) -> Iterator[Path]:
    """Parquet files of one split, named as `datasets` names them, media within."""
    media = [name for name, feature in dataset.features.items() if _is_medium(feature)]
    size = dataset.data.nbytes + sum(_bytes_of_files(dataset, name) for name in media)
    count = max(1, math.ceil(size / SHARD_BYTES))
    for index in range(count):
        shard = dataset.shard(count, index, contiguous=True)
        if media:
            # in memory, which a shard fits: the cache of `datasets` would keep another copy of people's faces
            embed = partial(_embedded, keep_written=keep_written)
            shard = shard.with_format("arrow").map(embed, batched=True, batch_size=BATCH, keep_in_memory=True)
        path = folder / f"{split}-{index:05d}-of-{count:05d}.parquet"
        shard.to_parquet(path)
        yield path


def _embedded(table: pa.Table, keep_written: bool) -> pa.Table:
    """Rows with the bytes of their files, of whose names the ends alone are kept.

    ValueError unless `keep_written`, where a file tells where it was made, or whose it is.
    """
    table = embed_table_storage(table)
    for place, (name, kind) in enumerate(zip(table.column_names, table.schema.types, strict=True)):
        if pa.types.is_struct(kind.value_type if pa.types.is_list(kind) else kind) and name in MEDIA:
            column = table.column(name).to_pylist()
            if not keep_written:
                _check_written(column, name)
            table = table.set_column(place, table.schema.field(place), pa.array(_unnamed(column), kind))
    return table


def _check_written(column: list, name: str) -> None:
    """ValueError for the first file of a column of media in which something may tell who or where."""
    for value in itertools.chain.from_iterable(entry if isinstance(entry, list) else [entry] for entry in column):
        if value and (told := written_in(value["bytes"])):
            raise ValueError(
                f"{value['path'] or name}: {', '.join(told)}: what is written in the file may tell where it was made, "
                "or whose it is; take it out (`exiftool -all= -tagsfromfile @ -Orientation FILE`; of a clip "
                "`ffmpeg -i FILE -map_metadata -1 -c copy NEW`), or pass --keep-names, which leaves names and all of "
                "that as they are."
            )


def _unnamed(value: Any) -> Any:
    """Media as `datasets` holds them, called by their suffix."""
    if isinstance(value, list):
        return [_unnamed(entry) for entry in value]
    return value and value | {"path": f"file{Path(value['path']).suffix}" if value["path"] else None}


def _bytes_of_files(dataset: Dataset, name: str) -> int:
    """Of the files that a media column still names by path."""
    column: Any = dataset.with_format("arrow")[name]
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    files = column.flatten() if pa.types.is_list(column.type) else column
    paths = pc.struct_field(files, "path")  # pyright: ignore[reportAttributeAccessIssue]
    return sum(Path(path).stat().st_size for path in paths.to_pylist() if path)


def _label_counts(splits: Mapping[str, Dataset], name: str) -> dict[str, list[int]]:
    """Label -> how often it occurs in each split; -1, which is unknown, is no label."""
    names = next(iter(splits.values())).features[name].names
    counts = {split: Counter(dataset[name]) for split, dataset in splits.items()}
    return {label: [counts[split][index] for split in splits] for index, label in enumerate(names)}


def _type_name(feature: Any) -> str:
    """A column's type for a reader."""
    if isinstance(feature, Value):
        return feature.dtype
    if isinstance(feature, ClassLabel):
        return "label: " + ", ".join(feature.names)
    if hasattr(feature, "feature"):
        length = getattr(feature, "length", -1)
        return f"list of {f'{length} ' if length > 0 else ''}{_type_name(feature.feature)}"
    return type(feature).__name__.lower()


def _size_category(rows: int) -> str:
    """The Hub's name of a number of rows."""
    limits = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
    return next((name for limit, name in limits.items() if rows < limit), "1M<n<10M")


__all__ = ["publish_dataset", "render_dataset_card"]
