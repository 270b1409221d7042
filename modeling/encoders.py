"""Pretrained transformers as encoders of text and frames.

Each maps its input to one vector a sample; padding, marked 0 in the attention mask, never changes it. Weights are
loaded as float32, however they were saved: what trains in fewer bits does so by autocast.
"""

import inspect
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, CLIPVisionModelWithProjection, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ModelOutput
from transformers.models.auto.modeling_auto import MODEL_MAPPING


def _without_pooler(config: PreTrainedConfig) -> dict:
    """Arguments that leave a model's unused pooler out, where it has one."""
    accepts = inspect.signature(MODEL_MAPPING[type(config)].__init__).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in accepts else {}


def without_folder(model: PreTrainedModel) -> PreTrainedModel:
    """The model; its configuration, which is published with ours, names a Hub id but no folder of this machine."""
    if Path(model.config.name_or_path or "").is_dir():
        model.config.name_or_path = ""
    return model


def encoder_from_config(config: PreTrainedConfig) -> PreTrainedModel:
    """A freshly initialised model of transformers, without the pooler that some have behind their tokens."""
    return AutoModel.from_config(config, **_without_pooler(config))


def encoder_from_pretrained(name_or_path: str) -> PreTrainedModel:
    """A pretrained model from a folder or a Hub id, without such a pooler."""
    pooler = _without_pooler(AutoConfig.from_pretrained(name_or_path))
    return without_folder(AutoModel.from_pretrained(name_or_path, dtype=torch.float32, **pooler))


def vision_model_from_config(config: PreTrainedConfig) -> PreTrainedModel:
    """A freshly initialised image model; CLIP comes with its projection to the joint space, as when pretrained."""
    if config.model_type == "clip_vision_model":
        return CLIPVisionModelWithProjection._from_config(config)
    return AutoModel.from_config(config)


def vision_model_from_pretrained(name_or_path: str) -> PreTrainedModel:
    """A pretrained image model from a folder or a Hub id; of a whole CLIP checkpoint, its vision half."""
    model_type = AutoConfig.from_pretrained(name_or_path).model_type
    if model_type in ("clip", "clip_vision_model"):
        return without_folder(CLIPVisionModelWithProjection.from_pretrained(name_or_path, dtype=torch.float32))
    return without_folder(AutoModel.from_pretrained(name_or_path, dtype=torch.float32))


def vision_output_size(config: PreTrainedConfig) -> int:
    """Size of the vector that `encode_frames` gives for one frame."""
    return config.projection_dim if config.model_type == "clip_vision_model" else config.hidden_size


def recorded(output: ModelOutput, prefix: str) -> dict[str, tuple]:
    """Attentions and hidden states that an encoder's output holds, by their field in ours, as `text_attentions`."""
    return {f"{prefix}_{name}": output[name] for name in ("attentions", "hidden_states") if output.get(name)}


def encode_frames(model: PreTrainedModel, pixel_values_videos: torch.Tensor, **kwargs) -> tuple:
    """Encode each frame by itself.

    Args:
        model: an image model.
        pixel_values_videos (batch, frames, 3, height, width).
        kwargs: whether to output attentions and hidden states.

    Returns:
        vectors (batch, frames, size), and the fields of the output that were asked for.
    """
    batch, frames = pixel_values_videos.shape[:2]
    output = model(pixel_values=pixel_values_videos.flatten(0, 1), return_dict=True, **kwargs)
    vectors = output.image_embeds if "image_embeds" in output else output.pooler_output
    return vectors.view(batch, frames, -1), recorded(output, "vision")


def keep_frozen_in_eval(module: nn.Module) -> None:
    """Put every part of `module` whose parameters are all frozen into eval mode, its dropout and batch statistics too.

    `train()` would otherwise let a frozen encoder drop activations at random and drift in its running statistics.
    """
    flags = [parameter.requires_grad for parameter in module.parameters()]
    if flags and not any(flags):
        module.eval()
    elif flags and not all(flags):
        for child in module.children():
            keep_frozen_in_eval(child)
