"""What each modality of the sample corpus shows can be read off it, and nothing else can."""

from collections import Counter

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from affecthub.datasets_scripts.meld.annotations import EMOTIONS
from affecthub.datasets_scripts.synthetic.bayes import bayes_accuracy
from affecthub.datasets_scripts.synthetic.face import EXPRESSIONS, SIZE, draw_clip
from affecthub.datasets_scripts.synthetic.plan import PRIOR, RELIABILITY, SPEAKERS, draw_split
from affecthub.datasets_scripts.synthetic.text import CRIES, STATES, write_line
from affecthub.datasets_scripts.synthetic.voice import PROSODY, RATE, speak

TAKES = 24  # clips per emotion, every speaker three times


def takes(show):
    """`show(emotion, speaker, rng)` for every emotion and take: inputs and labels, two thirds for training."""
    shown = [
        (show(emotion, list(SPEAKERS)[take % 8], np.random.default_rng([take, label])), label, take % 3 < 2)
        for label, emotion in enumerate(EMOTIONS)
        for take in range(TAKES)
    ]
    inputs, labels, training = zip(*shown, strict=True)
    return list(inputs), np.array(labels), np.array(training)


def held_out_accuracy(features, labels, training):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    model.fit(features[training], labels[training])
    return model.score(features[~training], labels[~training])


def band_energies(samples):
    """Mean and deviation over time of 30 log-spaced log band energies, (60,)."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 2048)[::1024] * np.hanning(2048)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = np.unique(np.geomspace(3, power.shape[1], 31).astype(int))
    bands = np.log(np.add.reduceat(power, edges[:-1], axis=1) + 1e-6)
    return np.concatenate([bands.mean(0), bands.std(0)])


def test_tables_cover_the_seven_emotions():
    assert set(EMOTIONS) == set(EXPRESSIONS) == set(PROSODY) == set(CRIES) == set(STATES)


def test_text_tells_its_emotion():
    lines, labels, training = takes(lambda emotion, speaker, rng: write_line(emotion, speaker, rng))
    assert all(line.isascii() and line[0].isupper() for line in lines)
    words = CountVectorizer().fit_transform(lines).toarray()
    assert held_out_accuracy(words, labels, training) > 0.9


def test_no_emotional_word_stands_under_two_emotions():
    words = Counter(
        word.lower() for emotion in EMOTIONS for phrase in CRIES[emotion] + STATES[emotion] for word in phrase.split()
    )
    assert max(words.values()) == 1


def test_face_tells_its_emotion():
    clips, labels, training = takes(lambda e, speaker, rng: draw_clip(e, SPEAKERS[speaker][0], 6, 12.5, rng))
    assert clips[0].shape == (6, SIZE, SIZE, 3) and clips[0].dtype == np.uint8
    small = np.stack([clip.mean(axis=(0, 3)).reshape(32, 2, 32, 2).mean(axis=(1, 3)).ravel() for clip in clips])
    assert held_out_accuracy(small, labels, training) > 0.95


def test_voice_tells_its_emotion():
    voices, labels, training = takes(lambda e, speaker, rng: speak(e, SPEAKERS[speaker][1], RATE, rng))
    assert voices[0].shape == (RATE,) and voices[0].dtype == np.float32
    assert max(np.abs(voice).max() for voice in voices) <= 1
    assert held_out_accuracy(np.stack([band_energies(v) for v in voices]), labels, training) > 0.95


def test_face_and_voice_are_the_seed_s():
    look, timbre = SPEAKERS["Greta"]
    for show in (
        lambda seed: draw_clip("fear", look, 3, 12.5, np.random.default_rng(seed)),
        lambda seed: speak("fear", timbre, 4800, np.random.default_rng(seed)),
    ):
        assert np.array_equal(show(1), show(1)) and not np.array_equal(show(1), show(2))


def test_drawn_cues_follow_prior_and_reliability():
    rows = draw_split("train", 6000, seed=3)
    tolerance = 4 * np.sqrt(0.25 / len(rows))
    shares = np.array([sum(row.emotion == name for row in rows) for name in EMOTIONS]) / len(rows)
    assert shares == pytest.approx(np.array(PRIOR), abs=tolerance)
    hits = {name: np.array([getattr(row.cues, name) == row.emotion for row in rows]) for name in RELIABILITY}
    assert {name: hit.mean() for name, hit in hits.items()} == pytest.approx(RELIABILITY, abs=tolerance)
    assert np.abs(np.corrcoef(list(hits.values())) - np.eye(3)).max() < 4 / np.sqrt(len(rows))
    misses = Counter(row.cues.audio for row in rows if row.emotion == "joy" and row.cues.audio != "joy")
    assert len(misses) == 6 and max(misses.values()) < 2 * min(misses.values())


def test_reliabilities_keep_the_promise():
    assert max(bayes_accuracy(PRIOR, [r]) for r in RELIABILITY.values()) <= 0.80
    assert bayes_accuracy(PRIOR, list(RELIABILITY.values())) >= 0.88


def test_emotion_is_independent_of_speaker_length_and_last_turn():
    """A chi-square statistic over its degrees of freedom is about 1 for independent counts."""
    rows = draw_split("train", 6000, seed=4)
    for other in (
        [list(SPEAKERS).index(row.speaker) for row in rows],
        [row.frames - 13 for row in rows],
        [EMOTIONS.index(row.emotion) for row in [rows[-1], *rows[:-1]]],
    ):
        counts = np.zeros((7, max(other) + 1))
        np.add.at(counts, ([EMOTIONS.index(row.emotion) for row in rows], other), 1)
        expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
        assert ((counts - expected) ** 2 / expected).sum() / ((counts.shape[0] - 1) * (counts.shape[1] - 1)) < 1.6


def test_dialogues_are_shaped_as_in_meld():
    rows = draw_split("dev", 300, seed=0)
    assert [row.utterance for row in rows if row.dialogue == 1] == list(range(sum(r.dialogue == 1 for r in rows)))
    sizes = Counter(row.dialogue for row in rows)
    assert list(sizes) == list(range(len(sizes))) and all(4 <= size <= 10 for size in list(sizes.values())[:-1])
    for before, after in zip(rows, rows[1:], strict=False):
        assert before.dialogue != after.dialogue or before.end < after.start
    assert {row.sentiment for row in rows if row.emotion == "surprise"} == {"positive", "negative"}
    assert {row.sentiment for row in rows if row.emotion == "disgust"} == {"negative"}
