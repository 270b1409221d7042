"""The rendered corpora as data sets: their options, and the optimum that each states about itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from affecthub.datasets_scripts.corpus import Corpus, DataCard, optimum, optimum_of
from affecthub.datasets_scripts.genex.corpus import Genex
from affecthub.datasets_scripts.meld.corpus import Meld

if TYPE_CHECKING:  # see datasets_scripts/corpus.py
    from datasets import Dataset

CARD = DataCard(
    license="apache-2.0",
    description="Drawn faces, computed voices and made-up lines; no person is in it.",
    language=("en",),
)


@dataclass(frozen=True)
class SampleMeld(Meld):
    """A synthetic corpus in MELD's layout, rendered on first use (default: below the cache)."""

    train_rows: int = 800
    """Utterances to render for training."""
    validation_rows: int = 200
    """Utterances to render for validation."""
    test_rows: int = 300
    """Utterances to render for testing."""

    def folder(self) -> Path:
        """The corpus, rendered where it is not there."""
        from affecthub.datasets_scripts.synthetic import utterances

        return utterances.render_sample_meld(
            self.root, train=self.train_rows, dev=self.validation_rows, test=self.test_rows
        )

    def describe(self, splits: dict[str, "Dataset"], facts: Mapping | None = None) -> Corpus:
        """As MELD, of drawn people, with the best possible accuracy."""
        from affecthub.datasets_scripts.synthetic import utterances

        corpus = super().describe(splits, facts)
        bayes = optimum_of(facts["bayes_accuracy"]) if facts else optimum(self.folder() / utterances.MARKER)
        return replace(
            corpus,
            name="synthetic sample corpus in MELD's layout",
            card=CARD,
            synthetic=True,
            bayes_accuracy=bayes if self.targets[0] == "emotion" else {},
        )


@dataclass(frozen=True)
class SampleGenex(Genex):
    """A synthetic study in GENEX's layout, rendered on first use (default: below the cache)."""

    seconds: int = 60
    """Length of each recording."""

    def folder(self) -> Path:
        """The study, rendered where it is not there."""
        from affecthub.datasets_scripts.synthetic import study

        return study.render_sample_genex(self.root, seconds=self.seconds)

    def describe(self, splits: dict[str, "Dataset"], facts: Mapping | None = None) -> Corpus:
        """As a study, of drawn people, with the best possible accuracy of attention."""
        from affecthub.datasets_scripts.synthetic import study

        bayes = optimum_of(facts["bayes_accuracy"]) if facts else optimum(self.folder() / study.MARKER)
        return replace(
            super().describe(splits, facts or {"name": "synthetic sample study in GENEX's layout"}),
            card=CARD,
            synthetic=True,
            bayes_accuracy=bayes if self.targets[0] == "attention" else {},
        )
