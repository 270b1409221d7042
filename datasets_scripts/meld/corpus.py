"""MELD as a data set: its options, and what there is to say of its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from affecthub.datasets_scripts.corpus import AuditColumns, Corpus, DataCard, DataOptions, target_of

if TYPE_CHECKING:  # see datasets_scripts/corpus.py
    from datasets import Dataset

CITATION = """\
@inproceedings{poria-etal-2019-meld,
  title = "{MELD}: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations",
  author = "Poria, Soujanya and Hazarika, Devamanyu and Majumder, Navonil and Naik, Gautam and Cambria, Erik and \
Mihalcea, Rada",
  booktitle = "Proceedings of ACL 2019",
  pages = "527--536",
  doi = "10.18653/v1/P19-1050",
}"""

CANONICAL = {"speaker": "participant", "utterance_id": "turn"}
"""Columns of the builder -> what every data set calls them."""


@dataclass(frozen=True)
class Meld(DataOptions):
    """Your copy of MELD: a folder that holds the authors' tables, and their archives or clips, in any shape."""

    targets: list[Literal["emotion", "sentiment"]] = field(default_factory=lambda: ["emotion"])
    """What is learned, the main one first: emotion, sentiment, or both at once."""
    crop_faces: bool = False
    """See faces alone: of each frame the largest that is certain enough; a frame without one is left out. For pictures
    with others in them, or with a room that would give something away."""
    twin_policy: Literal["prefer_final", "plain"] = "prefer_final"
    """Which of two clips of one test utterance is right: the authors' final one, or the one of the plain name, for
    comparison with published figures."""

    def build(self, modalities: Sequence[str]) -> dict[str, "Dataset"]:
        """The authors' splits; where text alone is needed, no clip is looked at."""
        from affecthub.datasets_scripts.meld.builder import load_meld

        config = "text" if list(modalities) == ["text"] else "multimodal"
        splits = load_meld(self.folder(), config, twin_policy=self.twin_policy)
        return {str(name): rows for name, rows in splits.items()}

    def describe(self, splits: dict[str, "Dataset"], facts: Mapping | None = None) -> Corpus:
        """Utterances; the recordings are the series' episodes."""
        splits = {name: _canonical(rows) for name, rows in splits.items()}
        some = next(iter(splits.values()))
        return Corpus(
            name="MELD",
            unit="utterances",
            splits=splits,
            crop_faces=self.crop_faces,
            targets=tuple(target_of(name, some) for name in self.targets),
            audit=AuditColumns("key", "recording", "participant", text="text", labels=("emotion",)),
            card=DataCard(
                license="gpl-3.0",
                description="Utterances of a television series, each with one of seven emotions and one of three "
                "sentiments.",
                citation=CITATION,
                homepage="https://affective-meld.github.io",
                language=("en",),
                notes=(
                    "The annotations are the authors', under GPL-3.0; cite Poria et al. (ACL 2019), doi "
                    "10.18653/v1/P19-1050.",
                    "The clips are scenes of a television series, under copyright, and must not be redistributed.",
                    f"Twin clips of the test split: {self.twin_policy}.",
                ),
                limits=(
                    "MELD is acted American television comedy of 1994 to 2004 with a handful of main speakers and a "
                    "laugh track: expect a drop on spontaneous speech and other people.",
                    "MELD's own splits are not speaker independent: 95.8 % of the test utterances have a speaker who "
                    "is also in the training data, and 142 of 143 test episodes occur there too.",
                ),
            ),
        )

    def manifest(self) -> str:
        """Every row and every stray file, by status."""
        from affecthub.datasets_scripts.manifest import summarise
        from affecthub.datasets_scripts.meld.builder import meld_manifest

        return summarise(meld_manifest(self.folder(), twin_policy=self.twin_policy))


def _canonical(rows: "Dataset") -> "Dataset":
    """The builder's rows under the names that every data set has, with `recording`, the episode: "S03E05".

    Dialogues are numbered anew in every split: they are named as in `key`, "train/dia7".
    """
    from datasets import Value

    if "recording" in rows.column_names:
        return rows
    episodes = [f"S{s:02}E{e:02}" for s, e in zip(rows["season"], rows["episode"], strict=True)]
    dialogues = [key.rpartition("_utt")[0] for key in rows["key"]]
    rows = rows.rename_columns(CANONICAL).remove_columns("dialogue_id")
    for name, values in {"dialogue": dialogues, "recording": episodes}.items():
        rows = rows.add_column(name, values, feature=Value("string"))
    return rows
