"""What the models return."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers.modeling_outputs import ModelOutput


def requested(output: ModelOutput) -> dict[str, Any]:
    """The hidden states and attentions that an output holds, by field."""
    return {name: value for name, value in output.items() if name.endswith(("_attentions", "_hidden_states"))}


@dataclass
class TrimodalModelOutput(ModelOutput):
    """Embeddings of an utterance.

    Args:
        embeddings (batch, modalities, hidden size): one embedding a modality of the configuration, 0 where absent.
        presence (batch, modalities), bool: which of them are there.
        text_attentions: on request, one (batch, heads, tokens, tokens) a layer.
        vision_attentions: on request, one (batch * frames, heads, patches, patches) a layer.
        text_hidden_states: on request, (batch, tokens, size) of the embedded tokens and of each layer.
        vision_hidden_states: on request, (batch * frames, patches, size) of the embedded patches and of each layer.
    """

    embeddings: torch.Tensor | None = None
    presence: torch.Tensor | None = None
    text_attentions: tuple[torch.Tensor, ...] | None = None
    vision_attentions: tuple[torch.Tensor, ...] | None = None
    text_hidden_states: tuple[torch.Tensor, ...] | None = None
    vision_hidden_states: tuple[torch.Tensor, ...] | None = None


@dataclass
class DialogueModelOutput(ModelOutput):
    """Embeddings of a turn, and what the turns around it tell.

    Args:
        embeddings (batch, modalities, hidden size), presence (batch, modalities): as in `TrimodalModelOutput`, of the
            turn that is judged.
        context (batch, dialogue size): its token, after it has attended to all turns.
        text_attentions, vision_attentions, text_hidden_states, vision_hidden_states: likewise, of all turns that are
            there, one after the other.
        dialogue_attentions: on request, one (batch, heads, turns, turns) a layer.
        dialogue_hidden_states: on request, (batch, turns, dialogue size) of the tokens with their places and of each
            layer.
    """

    embeddings: torch.Tensor | None = None
    presence: torch.Tensor | None = None
    context: torch.Tensor | None = None
    text_attentions: tuple[torch.Tensor, ...] | None = None
    vision_attentions: tuple[torch.Tensor, ...] | None = None
    text_hidden_states: tuple[torch.Tensor, ...] | None = None
    vision_hidden_states: tuple[torch.Tensor, ...] | None = None
    dialogue_attentions: tuple[torch.Tensor, ...] | None = None
    dialogue_hidden_states: tuple[torch.Tensor, ...] | None = None


@dataclass
class TokenFusionModelOutput(ModelOutput):
    """What the latents have read of a sample.

    Args:
        embeddings (batch, hidden size): the mean of the latents.
        presence (batch, modalities), bool: which modalities of the configuration are there.
        modality_embeddings (batch, modalities, hidden size), on request: what each modality alone gives, 0 where
            absent.
        text_attentions, vision_attentions, text_hidden_states, vision_hidden_states: as in `TrimodalModelOutput`.
        fusion_attentions: on request, (batch, heads, latents, latents + tokens) a layer and modality that was passed,
            those of the first layer first: what the latents read of themselves and of the modality.
        fusion_hidden_states: on request, one (batch, latents, hidden size) a layer.
    """

    embeddings: torch.Tensor | None = None
    presence: torch.Tensor | None = None
    modality_embeddings: torch.Tensor | None = None
    text_attentions: tuple[torch.Tensor, ...] | None = None
    vision_attentions: tuple[torch.Tensor, ...] | None = None
    text_hidden_states: tuple[torch.Tensor, ...] | None = None
    vision_hidden_states: tuple[torch.Tensor, ...] | None = None
    fusion_attentions: tuple[torch.Tensor, ...] | None = None
    fusion_hidden_states: tuple[torch.Tensor, ...] | None = None


@dataclass
class TrimodalClassifierOutput(ModelOutput):
    """Class scores of an utterance.

    Args:
        loss: scalar, when labels were passed.
        logits (batch, labels), of the main task.
        task_logits: of a model with several tasks, the logits (batch, labels) of each of them, by name.
        modality_logits (batch, modalities, labels), on request: each modality's own classifier, 0 where absent.
        modality_weights (batch, modalities), on request: each modality's share in the late average, sums to 1.
        path_weights (2,), on request, of the ensemble: shares of the early and the late path, sum to 1.
        text_attentions, vision_attentions, text_hidden_states, vision_hidden_states: on request, as in
            `TrimodalModelOutput`.
        dialogue_attentions, dialogue_hidden_states: on request, of a dialogue model, as in `DialogueModelOutput`.
        fusion_attentions, fusion_hidden_states: on request, of token fusion, as in `TokenFusionModelOutput`.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    task_logits: dict[str, torch.Tensor] | None = None
    modality_logits: torch.Tensor | None = None
    modality_weights: torch.Tensor | None = None
    path_weights: torch.Tensor | None = None
    text_attentions: tuple[torch.Tensor, ...] | None = None
    vision_attentions: tuple[torch.Tensor, ...] | None = None
    text_hidden_states: tuple[torch.Tensor, ...] | None = None
    vision_hidden_states: tuple[torch.Tensor, ...] | None = None
    dialogue_attentions: tuple[torch.Tensor, ...] | None = None
    dialogue_hidden_states: tuple[torch.Tensor, ...] | None = None
    fusion_attentions: tuple[torch.Tensor, ...] | None = None
    fusion_hidden_states: tuple[torch.Tensor, ...] | None = None


@dataclass
class RecordingModelOutput(ModelOutput):
    """What a recording's trunk makes of a sample.

    Args:
        embeddings (batch, size): the fused vector.
        presence (batch, modalities), bool: which modalities of the configuration are there.
        modality_weights (batch, modalities), of an architecture that learns them: sum to 1, 0 where absent.
        modality_embeddings (batch, modalities, size), on request: what each modality alone gives, 0 where absent; no
            gradient flows through it.
        vision_attentions: on request, one (batch * frames, heads, patches, patches) a layer; 0 in padding frames.
        temporal_attentions: on request, one (batch, heads, steps, steps) a layer over time.
        cross_attentions: on request, one (batch, heads, queries, keys) a cross-attention.
        fusion_attentions: on request, one (batch, heads, tokens, tokens) a layer after the fusion.
        vision_hidden_states: on request, (batch * frames, patches, size) of the embedded patches and of each layer, or
            (batch * frames, channels, height, width) of each convolutional stage; 0 in padding frames.
        temporal_hidden_states: on request, (batch, steps, size) of the steps with their positions and of each layer.
        fusion_hidden_states: on request, (batch, tokens, size) of what fuses.
    """

    embeddings: torch.Tensor | None = None
    presence: torch.Tensor | None = None
    modality_weights: torch.Tensor | None = None
    modality_embeddings: torch.Tensor | None = None
    vision_attentions: tuple[torch.Tensor, ...] | None = None
    temporal_attentions: tuple[torch.Tensor, ...] | None = None
    cross_attentions: tuple[torch.Tensor, ...] | None = None
    fusion_attentions: tuple[torch.Tensor, ...] | None = None
    vision_hidden_states: tuple[torch.Tensor, ...] | None = None
    temporal_hidden_states: tuple[torch.Tensor, ...] | None = None
    fusion_hidden_states: tuple[torch.Tensor, ...] | None = None


@dataclass
class RecordingClassifierOutput(ModelOutput):
    """Scores of a sample.

    Args:
        loss: scalar, when labels were passed.
        logits (batch, labels), of the main task.
        task_logits: of a model with several tasks, the logits (batch, labels) of each of them, by name.
        modality_logits (batch, modalities, labels), on request: what the model says to each modality alone, 0 where
            absent; no gradient flows through it.
        modality_weights: on request, as in `RecordingModelOutput`.
        vision_attentions, temporal_attentions, cross_attentions, fusion_attentions, vision_hidden_states,
            temporal_hidden_states, fusion_hidden_states: on request, likewise.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    task_logits: dict[str, torch.Tensor] | None = None
    modality_logits: torch.Tensor | None = None
    modality_weights: torch.Tensor | None = None
    vision_attentions: tuple[torch.Tensor, ...] | None = None
    temporal_attentions: tuple[torch.Tensor, ...] | None = None
    cross_attentions: tuple[torch.Tensor, ...] | None = None
    fusion_attentions: tuple[torch.Tensor, ...] | None = None
    vision_hidden_states: tuple[torch.Tensor, ...] | None = None
    temporal_hidden_states: tuple[torch.Tensor, ...] | None = None
    fusion_hidden_states: tuple[torch.Tensor, ...] | None = None
