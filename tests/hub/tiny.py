"""Tiny models in folders that predict by themselves, and clips of a drawn face with a computed voice."""

import numpy as np

from affecthub.datasets_scripts.synthetic.clip import encode_clip, render_clip
from affecthub.datasets_scripts.synthetic.plan import draw_split
from affecthub.hub.remote_code import add_travelling_code

from .test_stranger import build


def write_folder(folder, model_type="trimodal_ensemble", modalities=None, max_seconds=15.0, **config):
    """An untrained model's folder with the code that travels; returns model and processor."""
    model, processor = build(model_type, modalities)
    processor.max_seconds = max_seconds
    for name, value in config.items():
        setattr(model.config, name, value)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    add_travelling_code(folder)
    return model, processor


def write_clip(path, layout="mono"):
    """A clip of about a second as the sample corpus has it; layout None leaves the sound out."""
    path.write_bytes(render_clip(draw_split("train", 1, 0)[0], 0, layout))
    return path


def write_long_clip(path, seconds=12, sound=None):
    """Changing colours at 12.5 frames a second, and a tone in the first `sound` seconds."""
    greys = np.linspace(0, 255, round(12.5 * seconds)).astype(np.uint8)
    frames = np.broadcast_to(greys[:, None, None, None], (len(greys), 32, 32, 3)).copy()
    time = np.arange(round(48_000 * (sound or 0))) / 48_000
    tone = (0.3 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)
    path.write_bytes(encode_clip(frames, tone[None] if sound else None))
    return path
