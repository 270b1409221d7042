"""A data set becomes rows, a manifest and facts in the cache; what is unchanged is taken from there.

No pass over the tables holds more than a batch of rows, and a few bytes of each row that names a file or a key.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, Features
from filelock import FileLock

from affecthub.datasets_scripts.clips.plan import Opened, Plan, batches, open_tables, target_readers
from affecthub.datasets_scripts.clips.rows import (
    ALL,
    LEFT_OUT,
    Draft,
    columns_of,
    place_among_others,
    read_row,
    row_of,
)
from affecthub.datasets_scripts.clips.sources import class_folders, files_below, is_medium
from affecthub.datasets_scripts.clips.survey import survey
from affecthub.datasets_scripts.files import Gathered
from affecthub.datasets_scripts.manifest import STATUSES, ManifestWriter, Record
from affecthub.media.files import cache_root, file_state, write_file
from affecthub.media.source_code import code_digest

FACTS, STATE, LOOKED_FOR = "facts.json", "state.txt", "looked_for.txt"
"""Beside the rows: what there is to say of them, the state of their files, and which these are."""

SPLIT_ORDER = ("train", "validation", "test", ALL)


def build_clips(plan: Plan) -> Path:
    """The folder of the cache that holds the rows, a file a split, with manifest and facts; built where it is not.

    Raises:
        FileNotFoundError: there is no such data set.
        ValueError: what is wrong with it, by file, row and value.
    """
    root = cache_root() / "clips"
    tables = open_tables(plan, root / "media")
    content = [(str(t.table.place), t.table.split, t.table.state()) for t in tables]
    facts = json.dumps([asdict(plan), content, code_digest(__name__)], sort_keys=True, default=str)
    folder = root / hashlib.sha256(facts.encode()).hexdigest()[:16]
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / STATE).is_file() or (folder / STATE).read_text() != _state(folder, plan):
            unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
            try:
                _build(plan, tables, unfinished)
                shutil.rmtree(folder, ignore_errors=True)
                os.replace(unfinished, folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def rows_of(folder: Path) -> dict[str, Dataset]:
    """The rows of a folder that `build_clips` made, memory-mapped, by split; one part where they are not divided."""
    files = {name: folder / f"{name}.arrow" for name in SPLIT_ORDER}
    return {name: Dataset.from_file(str(path)) for name, path in files.items() if path.is_file()}


def facts_of(rows: Dataset) -> dict[str, Any]:
    """What was found out about rows that `rows_of` gave: feature_names, skipped, notes."""
    return json.loads(Path(rows.cache_files[0]["filename"]).with_name(FACTS).read_text(encoding="utf-8"))


def _build(plan: Plan, tables: Sequence[Opened], folder: Path) -> None:
    """Both passes; the folder is complete at the end."""
    folder.mkdir(parents=True)
    found = survey(tables, target_readers(plan, tables), plan.media)
    features = columns_of(tables, plan, found.readers)
    with _Output(tables, folder, features) as out, ThreadPoolExecutor(8) as pool:
        each = pool.map if plan.media else map  # looking at files waits on the disk more than on the processor
        for opened, rows in batches(tables, "reading rows"):
            drafts = list(each(lambda item, o=opened: read_row(o, *item, plan=plan, survey=found), rows))
            for draft in drafts:
                place_among_others(draft, found.readers, found, "key" in opened.reading.roles)
            out.write(drafts)
        out.manifest.write(_strays(plan, tables, out.named))
    notes = [_note(reader.name, reader.counts) for reader in found.readers if reader.kind in ("label", "labels")]
    out.write_facts([note for note in notes if note])
    write_file(folder / STATE, _state(folder, plan).encode())


class _Output(ExitStack):
    """What a build writes: rows by split, the manifest, and which files were looked for; it closes them."""

    def __init__(self, tables: Sequence[Opened], folder: Path, features: Features):
        super().__init__()
        self.tables, self.folder, self.features, self.schema = tables, folder, features, features.arrow_schema
        self.writers: dict[str, Gathered] = {}
        self.manifest = self.enter_context(ManifestWriter(folder))
        log = (folder / LOOKED_FOR).open("w", encoding="utf-8", errors="surrogateescape")
        self._log = self.enter_context(log)
        self.named: set[str] = set()
        self.skipped: Counter = Counter()
        self.feature_names: list[str] = list(next((t.reading.features for t in tables if t.reading.features), ()))

    def write(self, drafts: Sequence[Draft]) -> None:
        """A batch of rows; those that cannot be used are counted."""
        rows: dict[str, list[dict]] = {}
        records = [draft.record for draft in drafts]
        for draft, record in zip(drafts, records, strict=True):
            self._log.writelines(f"{path}\n" for path in draft.found.paths)
            self.named.update(draft.found.paths)
            self._check_features(draft)
            if record.status in LEFT_OUT:
                self.skipped[f"{draft.split} rows, {record.status}: {STATUSES[record.status]}"] += 1
            else:
                rows.setdefault(draft.split, []).append(row_of(draft, self.features))
        self.manifest.write(records)
        for split, found in rows.items():
            if split not in self.writers:
                writer = pa.RecordBatchStreamWriter(str(self.folder / f"{split}.arrow"), self.schema)
                self.writers[split] = Gathered(self.enter_context(writer).write_table)
                self.callback(self.writers[split].flush)
            self.writers[split].add(pa.Table.from_pylist(found, schema=self.schema))

    def write_facts(self, notes: Sequence[str]) -> None:
        """What there is to say of the rows."""
        read = {role: column for opened in self.tables for role, column in opened.reading.roles.items()}
        facts = {
            "feature_names": self.feature_names,
            "skipped": dict(self.skipped),
            "notes": [f"Columns that were read: {', '.join(f'{r} ({c})' for r, c in read.items())}.", *notes],
        }
        write_file(self.folder / FACTS, json.dumps(facts, ensure_ascii=False, indent=2).encode())

    def _check_features(self, draft: Draft) -> None:
        """ValueError where files of features hold different ones."""
        names = draft.feature_names
        if names is None:
            return
        self.feature_names = self.feature_names or names
        if names != self.feature_names:
            raise ValueError(
                f"{draft.where}: {draft.found.names[-1]} holds {len(names)} features ({', '.join(names[:5])} ...), "
                f"the first file {len(self.feature_names)} ({', '.join(self.feature_names[:5])} ...): all rows need "
                "the same ones, in the same order."
            )


def _note(target: str, counts: Counter) -> str:
    """What is to be known of a target's labels; empty: nothing."""
    once = [label for label, count in counts.items() if count == 1]
    if not once:
        return ""
    return f"Labels of {target} in one row alone, which can be learned or judged, but not both: {', '.join(once)}."


def _strays(plan: Plan, tables: Sequence[Opened], named: set[str]) -> Iterator[Record]:
    """Files of a folder of recordings that no row names, and folders of classes without any recording."""
    root = Path(plan.root).expanduser().resolve()
    if not (root.is_dir() and plan.media) or any(opened.table.kinds for opened in tables):
        return
    places = {opened.table.place.resolve() for opened in tables}
    for path in files_below(root):
        if str(path) in named or path in places or path.name.upper().startswith(("README", "LICEN")):
            continue
        yield Record("", None, path.relative_to(root).as_posix(), ("unannotated" if is_medium(path) else "junk",))
    for place in (place for folder in places if folder.is_dir() for place in class_folders(folder)):
        if not any(is_medium(path) for path in files_below(place)):
            yield Record("", None, f"{place.relative_to(root).as_posix()}/", ("empty_class",))


def _state(folder: Path, plan: Plan) -> str:
    """What changes when a file changes that rows name, or that lies in a folder of recordings."""
    digest = hashlib.sha256()
    root = Path(plan.root).expanduser()
    if plan.media and root.is_dir():
        for path in files_below(root):
            digest.update(_stamp(str(path)))
    if (folder / LOOKED_FOR).is_file():
        with (folder / LOOKED_FOR).open(encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                digest.update(_stamp(line.rstrip("\n")))
    return digest.hexdigest()


def _stamp(path: str) -> bytes:
    return f"{path}\0{file_state(path)}\0".encode(errors="surrogateescape")
