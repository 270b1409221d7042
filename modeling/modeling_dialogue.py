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

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init

from .attention import TemporalTransformer
from .configuration_dialogue import DialogueConfig
from .fusion import average_present
from .modalities import AUDIO, MAIN_INPUTS, TEXT, VIDEO
from .modeling_trimodal import TrimodalForVideoClassification, TrimodalModel
from .outputs import DialogueModelOutput, TrimodalClassifierOutput

AXES = {MAIN_INPUTS[TEXT]: 2, MAIN_INPUTS[AUDIO]: 3, MAIN_INPUTS[VIDEO]: 5, "text_features": 2, "video_features": 2}
"""Input of a turn -> how many axes it has in a batch of turns."""


class DialogueModel(TrimodalModel):
    """The trunk: each turn's encoders and projections, and the layers over turns."""

    config_class = DialogueConfig

    def __init__(
        self,
        config: DialogueConfig,
        text_model: PreTrainedModel | None = None,
        vision_model: PreTrainedModel | None = None,
    ):
        super().__init__(config, text_model, vision_model)
        width, size = config.hidden_size * len(config.modalities), config.dialogue_size
        self.turn_norm = nn.LayerNorm(width)
        self.turn_dropout = nn.Dropout(config.dialogue_dropout)
        self.turn_projection = nn.Linear(width, size)
        self.speakers = nn.Embedding(config.num_speakers, size)
        self.dialogue = TemporalTransformer(
            size,
            config.num_dialogue_layers,
            config.num_attention_heads,
            config.turns_before + 1 + config.turns_after,
            config.dialogue_dropout,
        )
        self.dialogue_norm = nn.LayerNorm(size)
        self.post_init()

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
        speaker_ids: torch.LongTensor | None = None,
        output_attentions: bool = False,
        **kwargs,
    ) -> DialogueModelOutput:
        """Embed a batch of turns and the conversations around them.

        The inputs are those of `TrimodalModel.forward`, each with an axis of turns (batch, turns, ...), in order of
        time; the turn that is judged is at `turns_before`. The masks `text_present` and so on (batch, turns) are 1
        where a turn has the modality; a turn without any is as one that is not there. Without that axis, all are turns
        of which nobody knows what stands around them.

        Args:
            speaker_ids (batch, turns), int, optional: who speaks, 0 = who is judged, the last one = nobody knows; left
                out, nobody does.
            output_attentions: also return the attentions.

        Raises:
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
        }
        inputs = {name: values for name, values in inputs.items() if values is not None}
        real = self._real_turns(inputs)
        rows = inputs if real is None else {name: values[real] for name, values in inputs.items()}
        turns = super().forward(**rows, output_attentions=output_attentions)
        if real is None:
            real = turns.presence.new_zeros(len(turns.presence), present + 1 + config.turns_after)
            real[:, present] = True
        embeddings = self._placed(turns.embeddings, real)
        if speaker_ids is None:
            speaker_ids = torch.full_like(real, config.num_speakers - 1, dtype=torch.long)
        tokens = self.turn_projection(self.turn_dropout(self.turn_norm(embeddings.flatten(2))))
        hidden, attentions = self.dialogue(tokens + self.speakers(speaker_ids), real, output_attentions)
        return DialogueModelOutput(
            embeddings=embeddings[:, present],
            presence=self._placed(turns.presence, real)[:, present],
            context=self.dialogue_norm(hidden[:, present]),
            text_attentions=turns.text_attentions,
            vision_attentions=turns.vision_attentions,
            dialogue_attentions=attentions or None,
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

    @staticmethod
    def _placed(rows: Tensor, real: Tensor) -> Tensor:
        """`rows` (turns that are there, ...) at their places (batch, turns, ...), zeros elsewhere."""
        placed = rows.new_zeros(*real.shape, *rows.shape[1:])
        placed[real] = rows
        return placed


class DialogueForVideoClassification(TrimodalForVideoClassification):
    """Late fusion of the turn, and what the turns around it add: a Linear, which starts at 0."""

    config_class = DialogueConfig
    trunk_class = DialogueModel

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if module is getattr(self, "context_classifier", None):
            init.zeros_(module.weight)

    def build_fusion(self) -> None:
        """The layer that turns context into logits."""
        self.context_classifier = nn.Linear(self.config.dialogue_size, self.config.num_outputs)

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
        speaker_ids: torch.LongTensor | None = None,
        labels: Tensor | dict[str, Tensor] | None = None,
        sample_weights: torch.FloatTensor | None = None,
        output_attentions: bool = False,
        output_modality_logits: bool = False,
        return_dict: bool | None = None,
        **kwargs,
    ) -> TrimodalClassifierOutput | tuple:
        """Classify a batch of turns. The inputs are those of `DialogueModel.forward`.

        In training the loss of what the turn says by itself is added, weighted by `turn_loss_weight`.

        Args:
            labels, sample_weights, output_modality_logits, return_dict: as `TrimodalForVideoClassification.forward`,
                of the turns that are judged.
            output_attentions: also return the attentions.
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
            speaker_ids=speaker_ids,
            output_attentions=output_attentions,
        )
        modality_logits = self._modality_logits(trunk.embeddings, trunk.presence)
        alone, shares = average_present(modality_logits, trunk.presence)
        answers = self.answers(alone + self.context_classifier(trunk.context), labels, sample_weights)
        if self.training and answers["loss"] is not None:
            answers["loss"] += self.config.turn_loss_weight * self.loss_of(self.by_task(alone), labels, sample_weights)
        details = {"modality_logits": self.by_task(modality_logits)[self.config.task], "modality_weights": shares}
        output = TrimodalClassifierOutput(
            **answers,
            text_attentions=trunk.text_attentions,
            vision_attentions=trunk.vision_attentions,
            dialogue_attentions=trunk.dialogue_attentions,
            **(details if output_modality_logits else {}),
        )
        return output if return_dict is not False else output.to_tuple()


__all__ = ["DialogueModel", "DialogueForVideoClassification"]
