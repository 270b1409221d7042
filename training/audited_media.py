"""What the audit compares of a corpus's media: signatures of its frames or clips, as columns beside the others."""

from collections.abc import Sequence

import pandas as pd
from datasets import Dataset

from affecthub.datasets_scripts.corpus import Corpus
from affecthub.datasets_scripts.prepared.stream import ShardStream
from affecthub.evaluation.clip_signatures import file_digests, sign_clips
from affecthub.evaluation.frame_signatures import sign_files, sign_frames
from affecthub.media.pictures import decode_image
from affecthub.modeling.modalities import AUDIO, VIDEO

MEDIA = ("signature", "content", "sound", "moving", "fault")
"""Columns that this adds; the fields of `AuditColumns` have the same names."""


def with_media(
    tables: Sequence[pd.DataFrame], sides: Sequence[Sequence[Dataset]], corpus: Corpus, modalities: Sequence[str]
) -> list[pd.DataFrame]:
    """Both sides' tables with columns of `MEDIA`, of those modalities that are taken; a text is not looked at.

    Args:
        tables: a row each for the rows of a side, in their order.
        sides: what learns, and what judges.
        corpus: whose rows they are.
        modalities: of the processor.
    """
    if corpus.all_rows is not None:
        if VIDEO not in modalities:
            return list(tables)
        return [table.assign(signature=_pictures(parts)) for table, parts in zip(tables, sides, strict=True)]
    names = [name for name in (AUDIO, VIDEO) if name in modalities]
    if not names:
        return list(tables)
    return _clips(tables, sides, corpus, names)


def _pictures(parts: Sequence[Dataset]) -> list[bytes | None]:
    """What each moment's picture shows."""
    if "image_path" in parts[0].column_names:
        return sign_files([path for rows in parts for path in rows["image_path"]])
    kept = (pictures for rows in parts for pictures in rows["video_jpeg"])
    frames = (decode_image(pictures[0]) if pictures else None for pictures in kept)
    return sign_frames(frames, total=sum(map(len, parts)))


def _clips(
    tables: Sequence[pd.DataFrame], sides: Sequence[Sequence[Dataset]], corpus: Corpus, names: list[str]
) -> list[pd.DataFrame]:
    """Tables with what each clip shows and sounds like, and the digests of files that may be equal."""
    digests = None if corpus.prepared else file_digests(sides, names)
    found = []
    for number, (table, parts) in enumerate(zip(tables, sides, strict=True)):
        signed = [s for rows in parts for s in sign_clips(rows, names, _stream_of(rows, corpus))]
        content = digests[number] if digests else [s.content for s in signed]
        columns: dict[str, list] = {"content": content, "fault": [s.fault for s in signed]}
        if VIDEO in names:
            columns |= {"signature": [s.frame for s in signed], "moving": [s.moving for s in signed]}
        if AUDIO in names:
            columns["sound"] = [s.sound for s in signed]
        found.append(table.assign(**{name: pd.Series(values, dtype=object) for name, values in columns.items()}))
    return found


def _stream_of(rows: Dataset, corpus: Corpus) -> ShardStream | None:
    """Where the media of rows lie that are read in turn."""
    return corpus.stream if "shard_place" in rows.column_names else None
