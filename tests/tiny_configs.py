"""One tiny configuration an architecture; the shared tests of models, saved folders and recipes use them."""

from transformers import PreTrainedConfig

from affecthub.architectures import architecture_named

LAYERS = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=37)
TEXT_CONFIG = dict(model_type="bert", vocab_size=99, max_position_embeddings=64, **LAYERS)
CLIP = dict(model_type="clip_vision_model", image_size=16, patch_size=8, projection_dim=24, **LAYERS)
UTTERANCE = dict(text_config=TEXT_CONFIG, vision_config=CLIP, num_mel_bins=10, hidden_size=32)
CNN2D = dict(audio_encoder="cnn2d", audio_channels=[4, 6, 8])
"""Fields of an utterance model with the stronger audio branch."""

W2V_BERT = dict(audio_config=dict(model_type="wav2vec2-bert", feature_projection_input_dim=10, **LAYERS))
"""Fields of an utterance model with an encoder of sound of transformers, for features of 10 bands."""

FUNCTIONALS = dict(audio_encoder="functionals", num_mel_bins=8)
"""Likewise with functionals; of features with pitch, which are two columns wider."""

VIT = dict(vision_config=dict(model_type="vit", image_size=16, patch_size=8, **LAYERS))
RESNET = dict(model_type="resnet", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic")
HEAD = dict(head_sizes=[8], head_dropouts=[0.1, 0.1])
EMOTIONS = dict(num_labels=7, problem_type="single_label_classification")
PHYSIO = dict(physio_size=5, **HEAD, **EMOTIONS)
FUSION = dict(physio_hidden_sizes=[6], fusion_size=16, num_attention_heads=2)
WAVENET = dict(wavenet_channels=4, wavenet_skip_channels=6, wavenet_layers=3, hop_length=8, num_attention_heads=2)

TINY_CONFIGS = {
    "unimodal_baseline": UTTERANCE,
    "trimodal_late_fusion": UTTERANCE,
    "trimodal_ensemble": UTTERANCE,
    "dialogue": dict(**UTTERANCE, turns_before=2, turns_after=1, dialogue_size=8, num_attention_heads=2),
    "token_fusion": dict(**UTTERANCE, physio_size=5, num_latents=3, num_attention_heads=2),
    "frame_cnn": dict(channels=[4, 8], block_dropouts=[0.1], pooled_size=2, **HEAD, **EMOTIONS),
    "frame_vit": dict(**VIT, **EMOTIONS),
    "frame_resnet": dict(vision_config=RESNET, **HEAD, **EMOTIONS),
    "temporal_vit": dict(**VIT, num_attention_heads=2, **EMOTIONS),
    "physio_concat": dict(**VIT, **PHYSIO),
    "physio_cross_attention": dict(**VIT, num_attention_heads=2, **PHYSIO),
    "physio_pretrained_fusion": dict(**VIT, **FUSION, **PHYSIO),
    "audio_visual_fusion": dict(**VIT, **WAVENET, **EMOTIONS),
}
"""`model_type` -> fields of its configuration, for frames of 16 x 16 and seven emotions."""


def tiny_config(model_type: str, **fields) -> PreTrainedConfig:
    """The tiny configuration of an architecture, with fields changed."""
    return architecture_named(model_type).config_class(**{**TINY_CONFIGS[model_type], **fields})


def tiny_overrides(model_type: str) -> list[str]:
    """Options that make a recipe of the architecture tiny; what the data decide is left to them."""
    decided = {"num_labels", "problem_type", "physio_size", "num_mel_bins", "text_config", "vision_config"}
    fields = {name: value for name, value in TINY_CONFIGS[model_type].items() if name not in decided}
    options = [f"--model.config.{name}={value}" for name, value in fields.items()]
    vision = TINY_CONFIGS[model_type].get("vision_config")
    return options + ([f"--model.vision_config={vision}"] if vision else [])
