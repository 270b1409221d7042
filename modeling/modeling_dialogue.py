"""The dialogue model: late fusion judges a turn by itself, and a small transformer over turns adds what others tell.

```
turn -2 -> encoders -> embeddings -+
turn -1 -> encoders -> embeddings -+-> tokens + place + speaker -> transformer -> token of turn 0 -> Linear -+
turn  0 -> encoders -> embeddings -+                                                                        +- sum
                           +---------> a classifier a modality -> average over the present ------------------+
```

After Hazarika et al. 2018 ("Conversational Memory Network for Emotion Recognition in Dyadic Dialogue Videos", NAACL),
with self-attention in the place of memory networks. Speakers are told apart by whether they are the one who is judged
or another, so that no name has to be known.
"""

from typing import Unpack

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import can_return_tuple
from transformers.utils.output_capturing import capture_outputs

from .attention import MaskedAttention, Positions, TemporalTransformer, TransformerLayer
from .base import Requests, on_request
from .configuration_dialogue import DialogueConfig
from .fusion import average_present
from .modalities import AUDIO, MAIN_INPUTS, TEXT, VIDEO
from .modeling_trimodal import TrimodalForVideoClassification, TrimodalModel
from .outputs import DialogueModelOutput, TrimodalClassifierOutput, requested

AXES = {
    MAIN_INPUTS[TEXT]: 2,
    MAIN_INPUTS[AUDIO]: 3,
    MAIN_INPUTS[VIDEO]: 5,
    "text_features": 2,
    "video_features": 2,
    "input_values": 2,
    "audio_features": 3,
}
"""Input of a turn -> how many axes it has in a batch of turns."""


class DialogueModel(TrimodalModel):
    """The trunk: each turn's encoders and projections, and the layers over turns."""

    config_class = DialogueConfig
    _can_record_outputs = {
        "dialogue_attentions": MaskedAttention,
        "dialogue_hidden_states": [Positions, TransformerLayer],
    }

    def __init__(
        self,
        config: DialogueConfig,
        text_model: PreTrainedModel | None = None,
        vision_model: PreTrainedModel | None = None,
        audio_model: PreTrainedModel | None = None,
    ):
        super().__init__(config, text_model, vision_model, audio_model)
        width, size = config.hidden_size * len(config.modalities), config.dialogue_size
        self.turn_norm = nn.LayerNorm(width)
        self.turn_dropout = nn.Dropout(config.dialogue_dropout)
        self.turn_projection = nn.Linear(width, size)
        self.speakers = nn.Embedding(config.num_speakers, size)
        self.dialogue = TemporalTransformer(
            config,
            size,
            config.num_dialogue_layers,
            config.num_attention_heads,
            config.turns_before + 1 + config.turns_after,
            config.dialogue_dropout,
        )
        self.dialogue_norm = nn.LayerNorm(size)
        self.post_init()

    @on_request
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.LongTensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        text_present: Tensor | None = None,
        input_features: torch.FloatTensor | None = None,
        feature_attention_mask: torch.LongTensor | None = None,
        audio_present: Tensor | None = None,
        pixel_values_videos: torch.FloatTensor | None = None,
        video_attention_mask: torch.LongTensor | None = None,
        video_present: Tensor | None = None,
        text_features: torch.FloatTensor | None = None,
        video_features: torch.FloatTensor | None = None,
        input_values: torch.FloatTensor | None = None,
        audio_features: torch.FloatTensor | None = None,
        speaker_ids: torch.LongTensor | None = None,
        **kwargs: Unpack[Requests],
    ) -> DialogueModelOutput:
        """Embed a batch of turns and the conversations around them.

        The inputs are those of `TrimodalModel.forward`, each with an axis of turns (batch, turns, ...), in order of
        time; the turn that is judged is at `turns_before`. The masks `text_present` and so on (batch, turns) are 1
        where a turn has the modality; a turn without any is as one that is not there. Without that axis, all are turns
        of which nobody knows what stands around them.

        Args:
            speaker_ids (batch, turns), int, optional: who speaks, 0 = who is judged, the last one = nobody knows; left
                out, nobody does.
            kwargs: as `TrimodalModel.forward`.

        Raises:
            TypeError: as `TrimodalModel.forward`.
            ValueError: as `TrimodalModel.forward`; another number of turns than the configuration has.
        """
        config, present = self.config, self.config.turns_before
        inputs = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            "text_present": text_present,
            "input_features": input_features,
            "feature_attention_mask": feature_attention_mask,
            "audio_present": audio_present,
            "pixel_values_videos": pixel_values_videos,
            "video_attention_mask": video_attention_mask,
            "video_present": video_present,
            "text_features": text_features,
            "video_features": video_features,
            "input_values": input_values,
            "audio_features": audio_features,
        }
        inputs = {name: values for name, values in inputs.items() if values is not None}
        real = self._real_turns(inputs)
        rows = inputs if real is None else {name: _rows(values, real) for name, values in inputs.items()}
        turns = super().forward(**rows, return_dict=True, **kwargs)
        if real is None:
            real = turns.presence.new_zeros(turns.presence.shape[0], present + 1 + config.turns_after)
            real[:, present] = True
            embeddings, presence = (_alone(values, real, present) for values in (turns.embeddings, turns.presence))
        else:
            embeddings, presence = (_placed(values, real) for values in (turns.embeddings, turns.presence))
        nobody = config.num_speakers - 1
        speakers = torch.full_like(real, nobody, dtype=torch.long) if speaker_ids is None else speaker_ids
        tokens = self.turn_projection(self.turn_dropout(self.turn_norm(embeddings.flatten(2))))
        return DialogueModelOutput(
            embeddings=embeddings[:, present],
            presence=presence[:, present],
            **self._over_turns(tokens + self.speakers(speakers), real, **self.to_record(**kwargs)),
            **requested(turns),
        )

    def _real_turns(self, inputs: dict[str, Tensor]) -> Tensor | None:
        """Which turns hold any modality, bool (batch, turns); None: the inputs have no axis of turns."""
        passed = {name: inputs[name] for name in AXES if name in inputs}
        if all(values.dim() == AXES[name] for name, values in passed.items()):
            return None
        turns = self.config.turns_before + 1 + self.config.turns_after
        for name, values in passed.items():
            if values.dim() != AXES[name] + 1 or values.shape[1] != turns:
                raise ValueError(
                    f"`{name}` has shape {tuple(values.shape)}; expected (batch, {turns}, ...): turns_before="
                    f"{self.config.turns_before}, the turn that is judged, and turns_after={self.config.turns_after}."
                )
        held = [inputs[name].bool() for name in inputs if name.endswith("_present")]
        everywhere = [torch.ones(v.shape[:2], dtype=torch.bool, device=v.device) for v in passed.values()]
        real = torch.stack(held or everywhere).any(dim=0)
        if not torch.compiler.is_compiling() and not bool(real[:, self.config.turns_before].all()):
            empty = (~real[:, self.config.turns_before]).nonzero().flatten().tolist()
            raise ValueError(f"The turns that are judged in samples {empty} have no modality at all: leave them out.")
        return real

    @capture_outputs
    def _over_turns(self, tokens: Tensor, real: Tensor, **requests) -> dict[str, Tensor]:
        """What the turn that is judged has heard of all: context (batch, dialogue size)."""
        hidden = self.dialogue(tokens, real)
        return {"context": self.dialogue_norm(hidden[:, self.config.turns_before])}


def _rows(values: Tensor, real: Tensor) -> Tensor:
    """The turns of `values` (batch, turns, ...) that are `real`, as rows; all turns where a graph is traced.

    No shape of that may depend on which turns there are.
    """
    return values.flatten(0, 1) if torch.compiler.is_compiling() else values[real]


def _placed(rows: Tensor, real: Tensor) -> Tensor:
    """What became of `_rows`, at the places (batch, turns, ...) of the turns, 0 where there is none."""
    if torch.compiler.is_compiling():
        placed = rows.unflatten(0, real.shape)
        return torch.where(real.view(*real.shape, *[1] * (placed.dim() - 2)), placed, 0)
    return rows.new_zeros(*real.shape, *rows.shape[1:]).index_put((real,), rows)


def _alone(rows: Tensor, real: Tensor, present: int) -> Tensor:
    """`rows` (batch, ...), each the one turn there is: (batch, turns, ...), 0 elsewhere."""
    placed = rows.new_zeros(*real.shape, *rows.shape[1:])
    placed[:, present] = rows
    return placed


class DialogueForVideoClassification(TrimodalForVideoClassification):
    """Late fusion of the turn, and what the turns around it add."""

    config_class = DialogueConfig
    trunk_class = DialogueModel

    def build_fusion(self) -> None:
        """The layer that turns context into logits."""
        self.context_classifier = nn.Linear(self.config.dialogue_size, self.config.num_outputs)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.LongTensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        text_present: Tensor | None = None,
        input_features: torch.FloatTensor | None = None,
        feature_attention_mask: torch.LongTensor | None = None,
        audio_present: Tensor | None = None,
        pixel_values_videos: torch.FloatTensor | None = None,
        video_attention_mask: torch.LongTensor | None = None,
        video_present: Tensor | None = None,
        text_features: torch.FloatTensor | None = None,
        video_features: torch.FloatTensor | None = None,
        input_values: torch.FloatTensor | None = None,
        audio_features: torch.FloatTensor | None = None,
        speaker_ids: torch.LongTensor | None = None,
        labels: Tensor | dict[str, Tensor] | None = None,
        sample_weights: torch.FloatTensor | None = None,
        output_modality_logits: bool = False,
        **kwargs: Unpack[Requests],
    ) -> TrimodalClassifierOutput:
        """Classify a batch of turns. The inputs are those of `DialogueModel.forward`.

        In training the loss of what the turn says by itself is added, weighted by `turn_loss_weight`.

        Args:
            labels, sample_weights, output_modality_logits, kwargs: as `TrimodalForVideoClassification.forward`, of the
                turns that are judged.
        """
        trunk = self.trimodal(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            text_present=text_present,
            input_features=input_features,
            feature_attention_mask=feature_attention_mask,
            audio_present=audio_present,
            pixel_values_videos=pixel_values_videos,
            video_attention_mask=video_attention_mask,
            video_present=video_present,
            text_features=text_features,
            video_features=video_features,
            input_values=input_values,
            audio_features=audio_features,
            speaker_ids=speaker_ids,
            return_dict=True,
            **kwargs,
        )
        modality_logits = self._modality_logits(trunk.embeddings, trunk.presence)
        alone, shares = average_present(modality_logits, trunk.presence)
        answers = self.answers(alone + self.context_classifier(trunk.context), labels, sample_weights)
        own = self.answers(alone, labels, sample_weights)["loss"] if self.training else None
        if own is not None:
            answers["loss"] += self.config.turn_loss_weight * own
        details = {"modality_logits": self.by_task(modality_logits)[self.config.task], "modality_weights": shares}
        return TrimodalClassifierOutput(**answers, **(details if output_modality_logits else {}), **requested(trunk))


__all__ = ["DialogueModel", "DialogueForVideoClassification"]
