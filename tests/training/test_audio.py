"""What a recipe says of sound: the audio encoder and the features that it was made for."""

import numpy as np
import pytest
import soundfile

from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.training.from_recipe import build_model, build_processor, modalities_of, settled
from affecthub.training.recipe import load_recipe


@pytest.fixture
def folder(tmp_path):
    """Twelve recordings of noise, of six people, in a folder for `Clips`."""
    rng, lines = np.random.default_rng(0), ["file_name,emotion,speaker"]
    for number in range(12):
        soundfile.write(tmp_path / f"{number}.wav", 0.1 * rng.normal(size=4_000), 16_000)
        lines.append(f"{number}.wav,{('calm', 'joy')[number % 2]},speaker_{number // 2}")
    (tmp_path / "metadata.csv").write_text("\n".join(lines))
    return tmp_path


@pytest.mark.parametrize(
    ("options", "frames", "columns"),
    [
        ([], 1 + 4_000 // 160, 64 + 2),
        (["--model.config.audio_encoder=cnn"], 1 + 4_000 // 256, 64),
        (["--model.config.audio_encoder=cnn2d"], 1 + 4_000 // 160, 64),
        (["--model.config.num_mel_bins=24"], 1 + 4_000 // 160, 24 + 2),
    ],
)
def test_features_go_with_the_audio_encoder(folder, options, frames, columns):
    data = [f"--data.root={folder}", "--data.targets=[emotion]"]
    recipe = load_recipe("clips_audio", *data, *options)
    corpus = load_corpus(recipe.data, modalities_of(recipe.model), recipe.split)
    recipe = settled(recipe, corpus)
    processor = build_processor(recipe, corpus)
    inputs = processor(audio=[np.ones(4_000, np.float32)], sampling_rate=16_000)
    assert inputs["input_features"].shape == (1, frames, columns)
    assert build_model(recipe, corpus, processor).eval()(**inputs).logits.shape == (1, 2)
