"""Planted cues: one place of a sample decides its class, and small models learn it within seconds.

All places look alike to who knows nothing: each holds one of many patterns of signs, words or tones, so that the map
of an untrained model has no reason to point to the cue.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from transformers import BertTokenizer

from affecthub.architectures import architecture_named
from affecthub.processing.feature_extraction_log_mel import LogMelFeatureExtractor
from affecthub.processing.feature_extraction_physio import PhysioFeatureExtractor
from affecthub.processing.processing_frame import FrameProcessor
from affecthub.processing.processing_physio_video import PhysioVideoProcessor
from affecthub.processing.processing_trimodal import TrimodalProcessor

FEATURES, STEPS, FRAMES, SIDE, CELL, WORDS, TONES = 8, 6, 5, 16, 4, 9, 6
CELLS = (SIDE // CELL) ** 2
RATE = 16_000
CUE_FEATURE = 5

LAYERS = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
VIT = dict(model_type="vit", image_size=SIDE, patch_size=CELL, hidden_dropout_prob=0.0, **LAYERS)
TWO = dict(num_labels=2, problem_type="single_label_classification", initializer_range=0.1)
BERT = dict(
    model_type="bert",
    vocab_size=40,
    max_position_embeddings=32,
    hidden_dropout_prob=0.0,
    initializer_range=0.1,
    **LAYERS,
)

_FIXED = np.random.default_rng(7)
PATTERNS = _FIXED.choice([-1.0, 1.0], (2, 2, 2, 3))
"""What the cue looks like in a picture, by class: 2 x 2 blocks of colours."""
ROWS = _FIXED.choice([-1.0, 1.0], (2, FEATURES))
"""The same in a row of features."""
PITCHES = np.geomspace(200, 3000, 12)
FILLERS = [f"word{i}" for i in range(20)]


@dataclass(frozen=True)
class Planted:
    """A cue, and a model that can learn it."""

    architecture: str
    config: dict
    processor: Callable[[], object]
    draw: Callable[[np.random.Generator], tuple[dict, int, int]]
    """A sample, its class and the place of the cue."""
    places: int
    score: Callable[[dict], np.ndarray]
    """From `Attribution.parts`, how much each place counts (places,)."""
    steps: int = 80

    def untrained(self, seed=0):
        """Model and processor."""
        torch.manual_seed(seed)
        kind = architecture_named(self.architecture)
        return kind.classifier_class(kind.config_class(**{**TWO, **self.config})).eval(), self.processor()

    def trained(self):
        """The same after some updates on fresh samples, and its accuracy on 200 others."""
        model, processor = self.untrained()
        rng, optimizer = np.random.default_rng(0), torch.optim.AdamW(model.parameters(), lr=3e-3)
        falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, self.steps)
        model.train()
        for _ in range(self.steps):
            samples, labels, _ = self.batch(rng, 32)
            optimizer.zero_grad()
            model(**processor.encode(samples), labels=torch.tensor(labels)).loss.backward()
            optimizer.step()
            falling.step()
        samples, labels, _ = self.batch(rng, 200)
        with torch.no_grad():
            right = model.eval()(**processor.encode(samples)).logits.argmax(dim=1).numpy() == labels
        return model, processor, right.mean()

    def batch(self, rng, count):
        """Samples, classes and places."""
        return (list(part) for part in zip(*(self.draw(rng) for _ in range(count)), strict=True))


def cells_of(patterns):
    """Patterns of signs (cells, 2, 2, 3) as a square picture uint8 (height, width, 3)."""
    blocks = patterns.repeat(CELL // 2, axis=1).repeat(CELL // 2, axis=2)  # (cells, cell, cell, 3)
    count = round(len(patterns) ** 0.5)
    rows = blocks.reshape(count, count, CELL, CELL, 3).transpose(0, 2, 1, 3, 4).reshape(count * CELL, -1, 3)
    return ((rows + 1) * 127.5).astype(np.uint8)


def draw_picture(rng):
    label, place = rng.integers(2), rng.integers(CELLS)
    patterns = rng.choice([-1.0, 1.0], (CELLS, 2, 2, 3))
    patterns[place] = PATTERNS[label]
    return {"video": cells_of(patterns)[None]}, label, place


def draw_clip(rng):
    label, place = rng.integers(2), rng.integers(FRAMES)
    patterns = rng.choice([-1.0, 1.0], (FRAMES, 2, 2, 3))
    patterns[place] = PATTERNS[label]
    return {"video": np.stack([cells_of(frame[None].repeat(4, axis=0)) for frame in patterns])}, label, place


def draw_text(rng):
    label, place = rng.integers(2), rng.integers(WORDS)
    words = rng.choice(FILLERS, WORDS)
    words[place] = ["good", "bad"][label]
    return {"text": " ".join(words)}, label, place


def draw_features(rng):
    values = rng.choice([-1.0, 1.0], (1, FEATURES))
    return {"physio": values}, int(values[0, CUE_FEATURE] > 0), CUE_FEATURE


def draw_steps(rng):
    label, place = rng.integers(2), rng.integers(STEPS)
    values = rng.choice([-1.0, 1.0], (STEPS, FEATURES))
    values[place] = ROWS[label]
    return {"physio": values}, label, place


def draw_sound(rng):
    label, place = rng.integers(2), rng.integers(TONES)
    pitches = rng.choice(PITCHES[1:-1], TONES)
    pitches[place] = PITCHES[[0, -1]][label]
    time = np.arange(RATE // 5) / RATE
    tones = np.concatenate([0.3 * np.sin(2 * np.pi * pitch * time) for pitch in pitches])
    return {"audio": (tones + rng.normal(0, 0.01, len(tones))).astype(np.float32)}, label, place


def pictures(side=SIDE):
    return FrameProcessor.square(side, FRAMES)


def texts():
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", *FILLERS]
    return TrimodalProcessor(BertTokenizer(vocab={name: i for i, name in enumerate(names)}))


def sounds():
    return TrimodalProcessor(feature_extractor=LogMelFeatureExtractor())


def features():
    extractor = PhysioFeatureExtractor([f"feature {i}" for i in range(FEATURES)], [0.0] * FEATURES, [1.0] * FEATURES)
    return PhysioVideoProcessor(pictures().video_processor, extractor)


def by_cell(parts):
    """Attributions of the pixels of a picture, summed over each cell."""
    count = SIDE // CELL
    return np.abs(parts["video"][0].reshape(count, CELL, count, CELL).sum(axis=(1, 3))).ravel()


def by_tone(parts):
    edges = np.linspace(0, len(parts["audio"]), TONES + 1).astype(int)[:-1]
    return np.abs(np.add.reduceat(parts["audio"].sum(axis=1), edges))


def by_step(parts):
    return np.abs(parts["physio"].sum(axis=1))


PHYSIO = dict(vision_config=VIT, physio_size=FEATURES, head_sizes=[16], head_dropouts=[0.0, 0.0], dropout=0.0)
UTTERANCE = dict(hidden_size=32, dropout=0.0, num_mel_bins=40)

PLANTED = {
    "vit": Planted("frame_vit", dict(vision_config=VIT), pictures, draw_picture, CELLS, by_cell, steps=200),
    "cnn": Planted(
        "frame_cnn",
        dict(channels=[16, 16], block_dropouts=[0.0], pooled_size=4, head_sizes=[16], head_dropouts=[0.0, 0.0]),
        *(pictures, draw_picture, CELLS, by_cell, 250),
    ),
    "frame": Planted(
        *(
            "temporal_vit",
            dict(vision_config=VIT | dict(image_size=2 * CELL), num_frames=FRAMES, num_attention_heads=2, dropout=0.0),
        ),
        *(partial(pictures, 2 * CELL), draw_clip, FRAMES, lambda parts: np.abs(parts["video"].sum(axis=(1, 2))), 150),
    ),
    "token": Planted(
        *("unimodal_baseline", dict(modalities=["text"], text_config=BERT, **UTTERANCE)),
        *(texts, draw_text, WORDS, lambda parts: np.abs(parts["text"][1:-1])),
    ),
    "tone": Planted(
        *("unimodal_baseline", dict(modalities=["audio"], **UTTERANCE), sounds, draw_sound, TONES, by_tone, 40)
    ),
    "feature": Planted(
        *("physio_concat", PHYSIO, features, draw_features, FEATURES, lambda parts: np.abs(parts["physio"][0]))
    ),
    "step": Planted(
        *("physio_cross_attention", PHYSIO | dict(num_attention_heads=2), features, draw_steps, STEPS, by_step),
    ),
}
