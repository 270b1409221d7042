"""Token fusion: a few latents read text, sound, pictures and feature sequences token by token.

```
 input_ids ----------> text encoder, all tokens ----+
 input_features -----> audio CNN, all steps --------+-> Linear, norm, time -> tokens --+
 pixel_values_videos > vision encoder, all frames --+                                  |
 physio_values ------> all steps -------------------+                                  |
                                                                                       v
 latents -> read each modality by itself -> average over the present -> again -> mean -> norm -> classifier
```

After Nagrani et al. 2021 ("Attention Bottlenecks for Multimodal Fusion", NeurIPS): modalities meet in the average of a
few bottleneck tokens that each has updated, so that no modality outweighs another by the number of its tokens. As in
Jaegle et al. 2021 ("Perceiver: General Perception with Iterative Attention", ICML), these tokens alone are updated, by
layers that all modalities share, which needs less data.
"""

from typing import Unpack

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import can_return_tuple
from transformers.utils.output_capturing import capture_outputs

from .attention import LatentLayer, MaskedAttention
from .audio_encoders import AudioCnn
from .base import Requests, on_request
from .configuration_token_fusion import TokenFusionConfig
from .fusion import ModalityTokens, average_present
from .modalities import AUDIO, PHYSIO, TEXT, VIDEO, blank_absent, real_steps, resolve_presence
from .modeling_trimodal import TrimodalForVideoClassification, TrimodalModel
from .outputs import TokenFusionModelOutput, TrimodalClassifierOutput, requested
from .tokens import Stream


class FusionLayer(nn.Module):
    """The latents read each modality by itself, and are averaged over those that are present."""

    def __init__(self, config: TokenFusionConfig):
        super().__init__()
        self.reader = LatentLayer(config, config.hidden_size, config.num_attention_heads, config.fusion_dropout)

    def forward(self, latents: Tensor, streams: list[Stream], presence: Tensor) -> Tensor:
        """Read.

        Args:
            latents (batch, latents, size).
            streams: one a modality.
            presence (batch, modalities), bool.
        """
        read = [self.reader(latents, tokens, mask) for tokens, mask, _ in streams]
        return average_present(torch.stack(read, dim=1).flatten(2), presence)[0].view_as(latents)


class TokenFusionModel(TrimodalModel):
    """The trunk: encoders, tokens and latents."""

    config_class = TokenFusionConfig
    takes_vectors = False
    _can_record_outputs = {"fusion_attentions": MaskedAttention, "fusion_hidden_states": FusionLayer}

    def __init__(
        self,
        config: TokenFusionConfig,
        text_model: PreTrainedModel | None = None,
        vision_model: PreTrainedModel | None = None,
        audio_model: PreTrainedModel | None = None,
    ):
        super().__init__(config, text_model, vision_model, audio_model)
        if PHYSIO in config.modalities:
            self.physio_projection = self.projection(config.physio_size)
        self.latents = nn.Embedding(config.num_latents, config.hidden_size)
        self.layers = nn.ModuleList(FusionLayer(config) for _ in range(config.num_fusion_layers))
        self.norm = nn.LayerNorm(config.hidden_size)
        self.post_init()

    def projection(self, size: int) -> ModalityTokens:
        """What makes tokens of what an encoder gives, vectors of `size`."""
        return ModalityTokens(size, self.config.hidden_size, self.config.fusion_dropout)

    def get_input_embeddings(self) -> nn.Module:
        """The first layer of the first encoder; of features alone, their projection."""
        if self.config.modalities == [PHYSIO]:
            return self.physio_projection.projection
        return super().get_input_embeddings()

    @on_request
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.LongTensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        text_turn_mask: torch.LongTensor | None = None,
        text_present: Tensor | None = None,
        input_features: torch.FloatTensor | None = None,
        feature_attention_mask: torch.LongTensor | None = None,
        audio_present: Tensor | None = None,
        pixel_values_videos: torch.FloatTensor | None = None,
        video_attention_mask: torch.LongTensor | None = None,
        video_present: Tensor | None = None,
        physio_values: torch.FloatTensor | None = None,
        physio_attention_mask: torch.LongTensor | None = None,
        physio_present: Tensor | None = None,
        input_values: torch.FloatTensor | None = None,
        output_modality_embeddings: bool = False,
        **kwargs: Unpack[Requests],
    ) -> TokenFusionModelOutput:
        """Embed a batch. Any subset of the modalities serves, also a different one in each sample.

        Args:
            input_ids, attention_mask, token_type_ids, text_turn_mask, text_present, input_features,
                feature_attention_mask, audio_present, pixel_values_videos, video_attention_mask, video_present,
                input_values: as `TrimodalModel.forward`.
            physio_values (batch, steps, features), optional: standardised features; a vector has steps = 1.
            physio_attention_mask (batch, steps), optional: 1 = real.
            physio_present (batch,), optional: 1 = this sample has features; left out: every sample has.
            output_modality_embeddings: also return what each modality alone gives.
            kwargs: as `TrimodalModel.forward`.

        Raises:
            TypeError, ValueError: as `TrimodalModel.forward`.
        """
        audio = input_values if input_features is None else input_features
        inputs = {TEXT: input_ids, AUDIO: audio, VIDEO: pixel_values_videos, PHYSIO: physio_values}
        given = {TEXT: text_present, AUDIO: audio_present, VIDEO: video_present, PHYSIO: physio_present}
        resolved = {name: resolve_presence(name, inputs[name], given[name]) for name in inputs}
        present = {name: samples for name, samples in resolved.items() if samples is not None}
        presence = self.presence_matrix(present)
        streams = {}
        if input_ids is not None:
            tokens = self.text_tokens(
                input_ids, attention_mask, token_type_ids, present[TEXT], text_turn_mask, **kwargs
            )
            streams[TEXT] = self.text_projection(tokens)
        if audio is not None:
            self._check_audio(input_features=input_features, input_values=input_values)
            tokens = self.audio_tokens(audio, feature_attention_mask, present[AUDIO])
            streams[AUDIO] = self.audio_projection(tokens)
        if pixel_values_videos is not None:
            tokens = self.frame_tokens(pixel_values_videos, video_attention_mask, present[VIDEO], **kwargs)
            streams[VIDEO] = self.vision_projection(tokens)
        if physio_values is not None:
            tokens = self.physio_tokens(physio_values, physio_attention_mask, present[PHYSIO])
            streams[PHYSIO] = self.physio_projection(tokens)
        return TokenFusionModelOutput(
            presence=presence,
            modality_embeddings=self._each_alone(streams, presence) if output_modality_embeddings else None,
            **self.read(streams, presence, **self.to_record(**kwargs)),
            **{name: values for stream in streams.values() for name, values in stream.recorded.items()},
        )

    def audio_tokens(self, inputs: Tensor, feature_attention_mask: Tensor | None, present: Tensor) -> Stream:
        """The steps of "cnn"; of the other encoders, which pool, their one vector a clip."""
        if isinstance(self.audio_model, AudioCnn):
            features = blank_absent(inputs, present).to(self.dtype)
            real = blank_absent(real_steps(inputs, feature_attention_mask), present)
            tokens, mask = self.audio_model.steps(features, real)
            return Stream(tokens, mask.bool() & present.unsqueeze(1))
        return Stream(self.audio_vectors(inputs, feature_attention_mask, present).unsqueeze(1), present.unsqueeze(1))

    def physio_tokens(self, physio_values: Tensor, mask: Tensor | None, present: Tensor) -> Stream:
        """Features (batch, steps, features), 0 where nothing is real."""
        real = present.unsqueeze(1).expand(physio_values.shape[:2])
        real = real if mask is None else real & mask.bool()
        return Stream(torch.where(real.unsqueeze(-1), physio_values, 0), real)

    @capture_outputs
    def read(self, streams: dict[str, Stream], presence: Tensor, **requests) -> dict[str, Tensor]:
        """What the latents make of the streams of the modalities that are present: embeddings (batch, hidden size).

        Args:
            streams: of every modality that was passed, as tokens (batch, tokens, hidden size).
            presence (batch, modalities of the configuration), bool.
            requests: what is to be recorded, as `to_record` says it.
        """
        presence = torch.stack([presence[:, self.config.modalities.index(name)] for name in streams], dim=1)
        places = torch.arange(self.config.num_latents, device=presence.device)
        latents = self.latents(places).expand(presence.shape[0], -1, -1)
        for layer in self.layers:
            latents = layer(latents, list(streams.values()), presence)
        return {"embeddings": self.norm(latents.mean(dim=1))}

    def _each_alone(self, streams: dict[str, Stream], presence: Tensor) -> Tensor:
        """Each modality's own embedding (batch, modalities, hidden size), 0 where absent."""
        each = {
            name: self.read({name: stream}, torch.ones_like(presence), return_dict=True)["embeddings"]
            for name, stream in streams.items()
        }
        blank = torch.zeros_like(next(iter(each.values())))
        stacked = torch.stack([each.get(name, blank) for name in self.config.modalities], dim=1)
        return torch.where(presence.unsqueeze(-1), stacked, 0)


class TokenFusionForVideoClassification(TrimodalForVideoClassification):
    """Latents read every modality token by token, and one classifier judges their mean."""

    config_class = TokenFusionConfig
    trunk_class = TokenFusionModel

    def build_classifiers(self) -> None:
        """Create the one classifier."""
        self.classifier = self._classifier(self.config.hidden_size)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.LongTensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        text_turn_mask: torch.LongTensor | None = None,
        text_present: Tensor | None = None,
        input_features: torch.FloatTensor | None = None,
        feature_attention_mask: torch.LongTensor | None = None,
        audio_present: Tensor | None = None,
        pixel_values_videos: torch.FloatTensor | None = None,
        video_attention_mask: torch.LongTensor | None = None,
        video_present: Tensor | None = None,
        physio_values: torch.FloatTensor | None = None,
        physio_attention_mask: torch.LongTensor | None = None,
        physio_present: Tensor | None = None,
        input_values: torch.FloatTensor | None = None,
        labels: Tensor | dict[str, Tensor] | None = None,
        sample_weights: torch.FloatTensor | None = None,
        output_modality_logits: bool = False,
        **kwargs: Unpack[Requests],
    ) -> TrimodalClassifierOutput:
        """Classify a batch. The inputs are those of `TokenFusionModel.forward`.

        In training the loss of what is said to each modality alone is added, weighted by `modality_loss_weight`: else
        an encoder learns little where the others, which learn faster, say enough (Wang et al. 2020, "What Makes
        Training Multi-Modal Classification Networks Hard?", CVPR).

        Args:
            labels, sample_weights, kwargs: as `TrimodalForVideoClassification.forward`.
            output_modality_logits: also return what the model says to each modality alone.
        """
        apart = labels if self.training and self.config.modality_loss_weight > 0 else None
        trunk = self.trimodal(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            text_turn_mask=text_turn_mask,
            text_present=text_present,
            input_features=input_features,
            feature_attention_mask=feature_attention_mask,
            audio_present=audio_present,
            pixel_values_videos=pixel_values_videos,
            video_attention_mask=video_attention_mask,
            video_present=video_present,
            physio_values=physio_values,
            physio_attention_mask=physio_attention_mask,
            physio_present=physio_present,
            input_values=input_values,
            output_modality_embeddings=output_modality_logits or apart is not None,
            return_dict=True,
            **kwargs,
        )
        answers, details = self.answers(self.classifier(trunk.embeddings), labels, sample_weights), {}
        if output_modality_logits or apart is not None:
            outputs = torch.where(trunk.presence.unsqueeze(-1), self.classifier(trunk.modality_embeddings), 0)
            loss = None if apart is None else self._loss_apart(outputs, trunk.presence, apart, sample_weights)
            if loss is not None:
                answers["loss"] = answers["loss"] + self.config.modality_loss_weight * loss
            if output_modality_logits:
                details["modality_logits"] = self.by_task(outputs)[self.config.task]
        return TrimodalClassifierOutput(**answers, **details, **requested(trunk))

    def _loss_apart(
        self, outputs: Tensor, presence: Tensor, labels: Tensor | dict[str, Tensor], sample_weights: Tensor | None
    ) -> Tensor | None:
        """The loss of `outputs` (batch, modalities, outputs), each a sample of its own where it is present."""
        count, weights = presence.shape[1], presence.to(outputs.dtype)
        if sample_weights is not None:
            weights = weights * sample_weights.unsqueeze(1)
        by_task = {self.config.task: labels} if isinstance(labels, Tensor) else labels
        repeated = {name: each.repeat_interleave(count, dim=0) for name, each in by_task.items() if each is not None}
        return self.loss_of(self.by_task(outputs.flatten(0, 1)), repeated, weights.flatten())


__all__ = ["TokenFusionModel", "TokenFusionForVideoClassification"]
