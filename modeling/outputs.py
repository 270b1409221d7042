"""What the models return."""

from dataclasses import dataclass

import torch
from transformers.modeling_outputs import ModelOutput


@dataclass
class TrimodalModelOutput(ModelOutput):
    """Embeddings of an utterance.

    Args:
        embeddings (batch, modalities, hidden size): one embedding a modality of the configuration, 0 where absent.
        presence (batch, modalities), bool: which of them are there.
        text_attentions: on request, one (batch, heads, tokens, tokens) a layer.
        vision_attentions: on request, one (batch * frames, heads, patches, patches) a layer.
    """

    embeddings: torch.FloatTensor | None = None
    presence: torch.BoolTensor | None = None
    text_attentions: tuple[torch.FloatTensor, ...] | None = None
    vision_attentions: tuple[torch.FloatTensor, ...] | None = None


@dataclass
class TrimodalClassifierOutput(ModelOutput):
    """Class scores of an utterance.

    Args:
        loss: scalar, when labels were passed.
        logits (batch, labels).
        sentiment_logits (batch, sentiments), of a model with two tasks.
        modality_logits (batch, modalities, labels), on request: each modality's own classifier, 0 where absent.
        modality_weights (batch, modalities), on request: each modality's share in the late average, sums to 1.
        path_weights (2,), on request, of the ensemble: shares of the early and the late path, sum to 1.
        text_attentions, vision_attentions: on request, as in `TrimodalModelOutput`.
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    sentiment_logits: torch.FloatTensor | None = None
    modality_logits: torch.FloatTensor | None = None
    modality_weights: torch.FloatTensor | None = None
    path_weights: torch.FloatTensor | None = None
    text_attentions: tuple[torch.FloatTensor, ...] | None = None
    vision_attentions: tuple[torch.FloatTensor, ...] | None = None
