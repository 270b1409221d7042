"""Train every architecture at small size on the synthetic sample corpora, and keep the card of each beside this file.

python model_cards/refresh.py                 # all of them, a quarter of an hour on two cores
python model_cards/refresh.py frame_cnn       # some
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from affecthub.architectures import architecture_names

ROOT = Path(__file__).resolve().parents[1]

STUDY = (
    *("--data=SampleGenex", "--data.targets=[attention]", "--data.crop_faces=false", "--inputs.frame_size=48"),
    *("--model.vision_encoder=null", "--training.epochs=8", "--training.batch_size=32", "--training.phases=[]"),
    *("--training.learning_rate=1e-3", "--training.encoder_learning_rate=1e-3", "--training.scheduler=cosine"),
    *("--training.scheduler_options={}", "--training.gradient_accumulation=1", "--inputs.preload=true"),
)
VIT = (
    "--model.vision_config={patch_size: 8, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 2, "
    "intermediate_size: 128}",
    "--model.config.initializer_range=0.1",
)
RUNS = {
    "unimodal_baseline": (
        *("quickstart", "--model.architecture=unimodal_baseline", "--model.modalities=[text]"),
        "--model.config={hidden_size: 64, classifier_hidden_size: 64, initializer_range: 0.1}",
    ),
    "trimodal_late_fusion": (
        *("quickstart", "--model.architecture=trimodal_late_fusion"),
        "--model.config={hidden_size: 64, classifier_hidden_size: 64, initializer_range: 0.1, modality_dropout: 0.3}",
    ),
    "trimodal_ensemble": ("quickstart",),
    "dialogue": (
        *("quickstart", "--model.architecture=dialogue", "--model.modalities=[text]", "--inputs.turns_before=4"),
        "--model.config={hidden_size: 64, classifier_hidden_size: 64, initializer_range: 0.1, dialogue_size: 32}",
    ),
    "token_fusion": (
        *("quickstart", "--model.architecture=token_fusion"),
        "--model.config={classifier_hidden_size: 64, initializer_range: 0.1, modality_dropout: 0.3}",
    ),
    "frame_cnn": ("frame_cnn", *STUDY, "--model.config.channels=[8, 16, 32]", "--model.config.pooled_size=3"),
    "frame_vit": ("frame_vit", *STUDY, *VIT),
    "frame_resnet": (
        *("frame_resnet", *STUDY),
        "--model.vision_config={embedding_size: 16, hidden_sizes: [16, 32, 64, 128], depths: [1, 1, 1, 1]}",
    ),
    "temporal_vit": (
        *("temporal_vit", *STUDY, *VIT, "--model.config.num_attention_heads=2", "--inputs.num_frames=3"),
        "--training.epochs=5",
    ),
    "physio_concat": ("genex_quickstart",),
    "physio_cross_attention": (
        *("physio_cross_attention", *STUDY, *VIT),
        *("--model.config.num_attention_heads=2", "--inputs.physio_steps=3", "--model.config.head_sizes=[32, 16]"),
    ),
    "physio_pretrained_fusion": (
        *("physio_pretrained_fusion", *STUDY, *VIT, "--model.config.fusion_size=64"),
        *("--model.config.num_attention_heads=2", "--model.config.physio_hidden_sizes=[32, 32]"),
        *("--model.config.head_sizes=[32]", "--model.config.head_dropouts=[0.1, 0.1]"),
    ),
    "audio_visual_fusion": (
        *("audio_visual_fusion", *STUDY, *VIT, "--model.config.num_attention_heads=2"),
        *("--model.config.wavenet_channels=8", "--model.config.wavenet_skip_channels=16", "--training.epochs=3"),
        *("--augmentation.audio.time_stretch=0", "--augmentation.audio.pitch_semitones=0"),
    ),
}
"""Architecture -> recipe and overrides; an architecture that is not here has a recipe of its name, taken as it is."""


def main(wanted: list[str]) -> None:
    """Train and keep what is wanted; all by default."""
    with tempfile.TemporaryDirectory() as folder:
        for architecture in wanted or architecture_names():
            recipe, *overrides = RUNS.get(architecture, (architecture,))
            where = Path(folder, architecture)
            train = [sys.executable, "train.py", f"--recipe={recipe}", *overrides, f"--output_dir={where}"]
            subprocess.run(train, cwd=ROOT, check=True)
            subprocess.run([sys.executable, "-m", "affecthub.hub.card", str(where / "model")], cwd=ROOT, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
