"""Every flaw that is known of MELD's files, planted into the synthetic sample corpus on purpose.

The traps stand in one dialogue of their own at the end of each split, so that the rows before it, their cues and their
Bayes-optimal accuracies are the same with and without them. `planted_traps.json` says of each what a builder has to
find.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from affecthub.datasets_scripts.meld.files import CLIP_FOLDERS
from affecthub.datasets_scripts.synthetic.clip import render_clip
from affecthub.datasets_scripts.synthetic.plan import SPLITS, SampleUtterance, draw_dialogue

# Magic number, version and filler of RFC 1740, then nothing.
_APPLE_DOUBLE = bytes.fromhex("00051607 00020000") + b"Mac OS X        " + bytes(66)


@dataclass(frozen=True)
class Trap:
    """One planted flaw."""

    trap: str
    """What is wrong, in words."""
    split: str
    status: str
    """What the manifest has to say, one of `manifest.STATUSES`; "used" where the flaw costs nothing."""
    row: SampleUtterance | None = None
    """The row of the annotations that it stands in; None for a stray file, or a row that is absent."""
    file: str | None = None
    """Where it lies, relative to the corpus; None for a missing file."""
    content: bytes | None = None
    """What to write there."""

    def summary(self) -> dict[str, str | None]:
        """Return the entry in `planted_traps.json`."""
        key = self.row.key if self.row else None
        return {"trap": self.trap, "split": self.split, "key": key, "file": self.file, "status": self.status}


def draw_traps(rows: list[SampleUtterance], seed: int) -> list[Trap]:
    """Return the traps of all splits, to be added to the clean `rows`; no row is in two of them."""
    turns = {}
    for split in SPLITS:
        last = max(row.dialogue for row in rows if row.split == split)
        rng = np.random.default_rng([seed, SPLITS.index(split), last + 2])
        turns[split] = draw_dialogue(split, last + 2, 9, rng)
    shared = turns["train"][0]
    traps = [*_train_traps(turns["train"], seed), *_dev_traps(turns["dev"], seed)]
    traps += [*_test_traps(turns["test"], shared, seed), *_apple_doubles()]
    traps += [Trap(f"no dialogue {dialogue[0].dialogue - 1}", split, "used") for split, dialogue in turns.items()]
    traps += [Trap(f"a gap in the utterances of dialogue {shared.dialogue}", "train", "used")]
    return [*traps, Trap("hours of one digit", "dev", "used", file="dev_sent_emo.csv")]


def _train_traps(turns: list[SampleUtterance], seed: int) -> Iterator[Trap]:
    shared, broken, flash, silent, surround, old_text, late, _, long = turns  # the eighth leaves a gap
    yield _trap("the same clip is in test", "in_two_splits", shared, render_clip(shared, seed))
    clip = render_clip(broken, seed)
    yield _trap("no moov atom", "broken", broken, clip[: clip.index(b"moov") - 4])
    flash = replace(flash, frames=1)
    yield _trap("one frame", "too_short", flash, render_clip(flash, seed))
    yield _trap("no audio track", "no_audio_track", silent, render_clip(silent, seed, layout=None))
    yield _trap("5.1 audio, voice in the centre", "used", surround, render_clip(surround, seed, layout="5.1"))
    old_text = replace(old_text, text="It\x92s over \x96 \x93over\x94, they said\x85")
    yield _trap("5 Windows-1252 characters in UTF-8", "used", old_text, render_clip(old_text, seed))
    longer = replace(late, frames=late.frames + 10)
    yield _trap("0.8 s longer than annotated", "duration_mismatch", late, render_clip(longer, seed))
    long = replace(long, frames=400)
    yield _trap("32 s long", "too_long", long, render_clip(long, seed))


def _dev_traps(turns: list[SampleUtterance], seed: int) -> Iterator[Trap]:
    empty, missing, unannotated, everyone, pair, *_ = turns
    yield _trap("zero bytes", "broken", empty, b"")
    yield Trap("no clip", "dev", "missing", missing)
    clip = render_clip(unannotated, seed)
    yield Trap("a clip without a row", "dev", "unannotated", None, _file(unannotated), clip)
    for row, speaker in ((everyone, "All"), (pair, "Amara and Bruno")):
        yield _trap(f"speaker {speaker}", "used", replace(row, speaker=speaker), render_clip(row, seed))


def _test_traps(turns: list[SampleUtterance], shared: SampleUtterance, seed: int) -> Iterator[Trap]:
    first, twin, other, timeless, *_ = turns
    moved = replace(shared, split="test", dialogue=first.dialogue, utterance=first.utterance)
    yield _trap("the same clip is in train", "in_two_splits", moved, render_clip(shared, seed))
    final = f"{CLIP_FOLDERS['test']}/final_videos_test{twin.clip}"
    yield Trap("the right one of two twins", "test", "used", twin, final, render_clip(twin, seed))
    wrong = replace(other, frames=twin.frames + 10)
    yield Trap("the wrong one of two twins", "test", "superseded", None, _file(twin), render_clip(wrong, seed))
    clip = render_clip(timeless, seed)
    yield _trap("an annotated duration of 0", "duration_mismatch", replace(timeless, frames=0), clip)


def _apple_doubles() -> Iterator[Trap]:
    for split, folder in CLIP_FOLDERS.items():
        yield Trap("AppleDouble file", split, "junk", None, f"{folder}/._dia0_utt0.mp4", _APPLE_DOUBLE)


def _trap(what: str, status: str, row: SampleUtterance, content: bytes) -> Trap:
    return Trap(what, row.split, status, row, _file(row), content)


def _file(row: SampleUtterance) -> str:
    return f"{CLIP_FOLDERS[row.split]}/{row.clip}"
