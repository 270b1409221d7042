"""The manifest: one record for every row and every stray media file, with what was found; nothing is dropped silently.

Media is checked by its headers alone, without decoding.
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from affecthub.datasets_scripts.files import Gathered
from affecthub.media.container import HeldFile, MediaError, MediaInfo, open_media
from affecthub.media.ending import missing_bytes
from affecthub.media.files import write_file

MIN_SECONDS = 0.3
"""Shorter clips are flagged: MELD has 237 of them, some of one or two frames."""

MAX_SECONDS = 30.0
"""Longer clips are flagged: an utterance lasts 2.5 s at the median, 12 s at the 99th percentile."""

MAX_MISMATCH = 0.25
"""s between the file's stated duration and the annotated one; more is flagged."""

STATUSES = {
    "contradicted": "rows of the same file and time have different labels; none of them is used",
    "repeated": "an earlier row is the same; not used",
    "empty": "the row holds no recording, text or features; not used",
    "no_target": "no target of the row is known; nothing is learned from it",
    "outside": "the path leads out of the data set's folder and is not followed; data.media_root names another one",
    "bad_span": "the row ends before it begins, or begins before 0 s; its media is not used",
    "beyond_end": "the row begins after the end of its file; its media is not used",
    "missing": "the row has no media file; its text stays",
    "broken": "the file cannot be opened, or holds neither pictures nor sound; the row's text stays",
    "truncated": "the file ends before its index says; what is there is used",
    "cut_short": "the file ends before the row does; what is there is used",
    "no_video_track": "the sound is used",
    "no_audio_track": "the pictures are used",
    "too_short": f"under {MIN_SECONDS} s; used",
    "too_long": f"over {MAX_SECONDS:g} s; used",
    "duration_mismatch": f"over {MAX_MISMATCH} s off the annotated duration; used",
    "in_two_splits": "the same words at the same time of the same episode are a row of another split; used",
    "not_checked": "text only: media was not looked at",
    "used": "nothing was found wrong",
    "unannotated": "stray: a clip without a row",
    "empty_class": "stray: a class folder without recordings; there is no such label",
    "superseded": "stray: another file was chosen for its row",
    "junk": "stray: no clip by its name",
}
"""What can be found -> what it means; the most severe comes first, and is the record's status."""

_SCHEMA = pa.schema(
    [
        ("split", pa.string()),
        ("key", pa.string()),
        ("file", pa.string()),
        ("status", pa.string()),
        ("findings", pa.list_(pa.string())),
        ("video_present", pa.bool_()),
        ("audio_present", pa.bool_()),
        ("stated_duration", pa.float64()),
        ("annotated_duration", pa.float64()),
        ("mended_characters", pa.int64()),
        ("detail", pa.string()),
    ]
)


@dataclass(frozen=True)
class Record:
    """What was found about one row and its media, or about one stray file."""

    split: str
    """As the data set's authors call it."""
    key: str | None
    """Of the row; None for a stray file."""
    file: str | None
    """Relative to the root; None where there is none."""
    findings: tuple[str, ...] = ()
    """Of `STATUSES`, the most severe first; empty for "used"."""
    video_present: bool = False
    audio_present: bool = False
    stated_duration: float | None = None
    """s by the file's header; None where it says nothing, or the file was not opened."""
    annotated_duration: float | None = None
    """s by the row."""
    mended_characters: int = 0
    """Characters of the row's text that were read through another encoding."""
    detail: str = ""
    """The findings in words, with the values."""

    @property
    def status(self) -> str:
        """The most severe finding, or "used"."""
        return next(iter(self.findings), "used")

    @property
    def video_status(self) -> str:
        """The most severe finding that says something about the pictures, or "used"."""
        return next((f for f in self.findings if f != "no_audio_track"), "used")

    @property
    def audio_status(self) -> str:
        """The most severe finding that says something about the sound, or "used"."""
        return next((f for f in self.findings if f != "no_video_track"), "used")

    def with_finding(self, finding: str, detail: str) -> "Record":
        """The record with one finding more, in its place by severity."""
        details = filter(None, [self.detail, detail])
        return replace(self, findings=ranked([*self.findings, finding]), detail="; ".join(details))


def ranked(findings: Iterable[str]) -> tuple[str, ...]:
    """Findings of `STATUSES`, each once, the most severe first."""
    return tuple(sorted(set(findings), key=list(STATUSES).index))


def check_records(records: Sequence[Record], root: Path, description: str = "checking media") -> list[Record]:
    """Probe the file of every record; a record without a file is missing. Order is kept.

    Opening files waits on the disk more than on the processor, so threads help.
    """
    with ThreadPoolExecutor(8) as pool:
        checked = pool.map(lambda record: check_record(record, root), records)
        return list(tqdm(checked, total=len(records), desc=description, unit="clip"))


def check_record(record: Record, root: Path) -> Record:
    """The record with what its file's header shows.

    Args:
        record: of a row; `file` is relative to `root`.
    """
    if record.file is None:
        return record.with_finding("missing", "no file of this row's name")
    headers = read_headers(root / record.file)
    if isinstance(headers, str):
        return record.with_finding("broken", headers)
    info, truncated = headers
    record = replace(record, video_present=info.has_video, audio_present=info.has_audio, stated_duration=info.duration)
    if truncated > 0:
        record = record.with_finding("truncated", f"{truncated} bytes of media are missing at the end; copy it again")
    for finding, detail in _track_findings(info) + duration_findings(info.duration, record.annotated_duration):
        record = record.with_finding(finding, detail)
    return record


def read_headers(path: str | Path) -> tuple[MediaInfo, int] | str:
    """What a file states about itself, and how many bytes are missing at its end, by its structure; or its fault.

    A copy that was cut off still states its whole duration.
    """
    try:
        with closing(HeldFile(path)) as held:
            info = held.info
            with open_media(held) as container:
                return info, missing_bytes(container, path)
    except MediaError as error:
        return str(error).removeprefix(f"{path}: ")


def _track_findings(info: MediaInfo) -> list[tuple[str, str]]:
    tracks = {"no_video_track": info.has_video, "no_audio_track": info.has_audio}
    return [(finding, finding.replace("_", " ")) for finding, present in tracks.items() if not present]


def duration_findings(stated: float | None, annotated: float | None) -> list[tuple[str, str]]:
    """What is to be said of a length by the file's header, s, beside the annotated one, s; None: not known."""
    if stated is None:
        return []
    findings = []
    if stated < MIN_SECONDS:
        findings.append(("too_short", f"lasts {stated:.3f} s, under {MIN_SECONDS} s"))
    if stated > MAX_SECONDS:
        findings.append(("too_long", f"lasts {stated:.1f} s, over {MAX_SECONDS:g} s"))
    if annotated is not None and abs(stated - annotated) > MAX_MISMATCH:
        findings.append(("duration_mismatch", f"lasts {stated:.3f} s, annotated {annotated:.3f} s"))
    return findings


class ManifestWriter:
    """Writes `manifest.parquet` into a folder, some records at a time.

    Args:
        folder: where it goes; it is there.
    """

    def __init__(self, folder: Path):
        self._path = folder / "manifest.parquet"
        self._partial = folder / f".manifest.parquet.{os.getpid()}"
        self._writer = pq.ParquetWriter(self._partial, _SCHEMA)
        self._gathered = Gathered(self._writer.write_table)

    def write(self, records: Iterable[Record]) -> None:
        """Add records."""
        if found := list(records):
            columns = {name: [getattr(record, name) for record in found] for name in _SCHEMA.names}
            self._gathered.add(pa.Table.from_pydict(columns, schema=_SCHEMA))

    def __enter__(self) -> "ManifestWriter":
        return self

    def __exit__(self, kind: type | None, *others: object) -> None:
        """Give the file its name; where something failed, delete it."""
        try:
            if kind is None:
                self._gathered.flush()
            self._writer.close()
            if kind is None:
                os.replace(self._partial, self._path)
        finally:
            self._partial.unlink(missing_ok=True)


def write_manifest(records: Sequence[Record], folder: Path, notes: str = "") -> None:
    """Write `manifest.parquet` and `manifest.md` into a folder, each to a temporary name first.

    Args:
        records: of rows and strays.
        folder: made where absent.
        notes: Markdown to stand below the summary, such as counts of labels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ManifestWriter(folder) as writer:
        writer.write(records)
    write_file(folder / "manifest.md", (summarise(read_manifest(folder)) + notes).encode())


def read_manifest(path: str | Path) -> pd.DataFrame:
    """The manifest as a table, one record a line.

    Args:
        path: `manifest.parquet`, or the folder that holds it.

    Returns:
        Columns split, key, file, status, findings (array of strings), video_present, audio_present, stated_duration
        (s), annotated_duration (s), mended_characters, detail; `Record` says what each means.
    """
    path = Path(path)
    return pd.read_parquet(path / "manifest.parquet" if path.is_dir() else path)


def summarise(manifest: pd.DataFrame, examples: int = 20) -> str:
    """The manifest in Markdown: counts by status and split, mended characters, and the records with findings.

    Args:
        manifest: as `read_manifest` returns it.
        examples: how many records to list per status.
    """
    rows = manifest.loc[manifest.key.notna()]
    present = f"{int(rows.video_present.sum())} with pictures, {int(rows.audio_present.sum())} with sound"
    lines = ["# Manifest", "", f"{len(rows)} rows ({present}) and {len(manifest) - len(rows)} stray files.", ""]
    lines += _status_table(manifest)
    lines += ["", "A record with several findings counts under the most severe.", ""]
    mended = rows.groupby("split", sort=False).mended_characters.sum()
    for split, count in mended.items() if mended.any() else ():
        affected = (rows.loc[rows.split == split].mended_characters > 0).sum()
        lines.append(f"- {split}: {count} Windows-1252 characters mended, in {affected} texts")
    for status in STATUSES:
        group = manifest.loc[manifest.status == status]
        if len(group) and status not in ("used", "not_checked"):
            lines += ["", f"## {status}: {len(group)}", "", *(f"- {line}" for line in _listing(group, examples))]
    return "\n".join(lines) + "\n"


def _status_table(manifest: pd.DataFrame) -> list[str]:
    counts = pd.crosstab(manifest.status, manifest.split)
    splits = list(dict.fromkeys(manifest.split))
    lines = [f"| status | {' | '.join(splits)} | meaning |", f"|---|{'---:|' * len(splits)}---|"]
    for status in STATUSES:
        if status in counts.index:
            cells = " | ".join(str(counts.loc[status, split]) for split in splits)
            lines.append(f"| {status} | {cells} | {STATUSES[status]} |")
    return lines


def _listing(group: pd.DataFrame, examples: int) -> list[str]:
    """Key or file, findings and detail of the first records of a status."""
    lines, shown = [], group.head(examples)
    for key, file, detail in zip(shown.key, shown.file, shown.detail, strict=True):
        name = file if pd.isna(key) else key
        lines.append(f"`{name}`: {detail}" if detail else f"`{name}`")
    return lines + ([f"and {len(group) - examples} more"] if len(group) > examples else [])
