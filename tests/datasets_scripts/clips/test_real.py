"""Real data, where they lie beside the repository: MELD's annotations and EmoDB, read as any labelled recordings."""

from pathlib import Path

import pytest

from affecthub.datasets_scripts.clips.corpus import Clips
from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.datasets_scripts.meld.annotations import EMOTIONS, SENTIMENTS
from affecthub.datasets_scripts.meld.corpus import Meld
from affecthub.evaluation.scores import score

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
AS_CLIPS = {
    "columns": {
        "text": "Utterance",
        "participant": "Speaker",
        "dialogue": "Dialogue_ID",
        "turn": "Utterance_ID",
        "emotion": "Emotion",
        "sentiment": "Sentiment",
    },
    "labels": {"emotion": list(EMOTIONS), "sentiment": list(SENTIMENTS)},
}


@pytest.mark.skipif(not (DATA / "meld").is_dir(), reason="MELD's real annotations are not beside the repository")
def test_melds_tables_by_a_column_mapping_are_what_its_own_builder_gives():
    targets = ["emotion", "sentiment"]
    meld = load_corpus(Meld(root=str(DATA / "meld"), targets=targets), ["text"])
    clips = load_corpus(Clips(root=str(DATA / "meld"), targets=targets, **AS_CLIPS), ["text"])
    assert clips.targets == meld.targets and clips.protocol == meld.protocol == "fixed"
    assert {name: len(rows) for name, rows in clips.splits.items()} == {"train": 9989, "validation": 1109}
    for split, rows in meld.splits.items():
        for column in ("text", "participant", "turn", *targets):
            assert list(clips.splits[split][column]) == list(rows[column]), (split, column)
    emotion, rows = meld.targets[0], clips.splits["validation"]
    train, references = emotion.values(clips.splits["train"]), emotion.values(rows)
    ones = [[float(label == 0) for label in range(len(emotion.labels))]] * len(rows)
    figures = score(references, ones, train, emotion.labels, "single_label", seed=0)
    assert figures["accuracy"] == pytest.approx(470 / 1109)  # the neutral ones, as published


@pytest.mark.skipif(not (DATA / "emodb").is_dir(), reason="EmoDB is not beside the repository")
def test_emodb_as_it_lies():
    corpus = load_corpus(Clips(root=str(DATA / "emodb"), targets=["emotion"]), ["audio"])
    assert sum(map(len, corpus.splits.values())) == 535 and corpus.protocol == "grouped_k_fold, fold 0"
    people = [set(rows["participant"]) for rows in corpus.splits.values()]
    assert sum(map(len, people)) == len(set.union(*people)) == 10
    labels = ["anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness"]
    assert corpus.targets[0].labels == labels
    assert set(corpus.targets[0].values(corpus.splits["train"])) == set(range(7))
