"""The trunk and the classifier that all utterance models share.

```
 input_ids ------> text encoder -> pooled over tokens -> Linear --+
 input_features -> audio encoder -> pooled over frames > Linear --+--> embeddings (batch, modalities, hidden size)
 pixel_values ---> vision encoder > pooled over frames > Linear --+         |
                                                                        fuse()  <- the only thing an architecture adds
                                                                            |
                                                                     logits (batch, labels)
```
"""

from typing import Unpack

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.utils import can_return_tuple

from .audio_encoders import AUDIO_ENCODERS
from .base import AffectPreTrainedModel, Requests, on_request
from .configuration_trimodal import AUDIO_CHANNELS, TrimodalConfig
from .encoders import (
    encode_frames,
    encoder_from_config,
    encoder_from_pretrained,
    recorded,
    vision_model_from_config,
    vision_model_from_pretrained,
    vision_output_size,
)
from .fusion import ModalityTokens, PathWeights
from .heads import ClassifierHead
from .modalities import AUDIO, MAIN_INPUTS, TEXT, VIDEO, blank_absent, real_steps, resolve_presence
from .outputs import TrimodalClassifierOutput, TrimodalModelOutput, requested
from .pooling import POOLINGS
from .pretrained_audio import LayerWeights, PretrainedAudio, audio_model_from_config, audio_model_from_pretrained
from .tokens import Stream


class TrimodalPreTrainedModel(AffectPreTrainedModel):
    """What trunk and classifiers share."""

    config: TrimodalConfig
    config_class: type[TrimodalConfig] = TrimodalConfig
    base_model_prefix = "trimodal"
    main_input_name = "input_ids"
    encoder_prefixes = ("text_model.", "vision_model.", "audio_model.encoder.")
    """Parameters below these names belong to pretrained encoders; phases freeze and unfreeze by them."""
    _no_split_modules = ["AudioBlock", "AudioBlock2d"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, PathWeights | LayerWeights):
            init.zeros_(module.scores)
        elif isinstance(module, ModalityTokens):
            init.zeros_(module.time_scale)
        elif isinstance(module, nn.Conv1d | nn.Conv2d):
            # of the audio branch; at `initializer_range` it would start 50 times quieter than text and video
            init.kaiming_normal_(module.weight, nonlinearity="relu")


class TrimodalModel(TrimodalPreTrainedModel):
    """Encoders and projections: an utterance becomes one embedding a modality."""

    takes_vectors = True

    def __init__(
        self,
        config: TrimodalConfig,
        text_model: PreTrainedModel | None = None,
        vision_model: PreTrainedModel | None = None,
        audio_model: PreTrainedModel | None = None,
    ):
        super().__init__(config)
        if isinstance(config.text_config, PreTrainedConfig):
            self.text_model = text_model if text_model is not None else encoder_from_config(config.text_config)
            config.text_config = self.text_model.config  # one object, so that how it attends stays in sync
            self.text_pooling = POOLINGS[config.pooling](config.text_config.hidden_size)
            self.text_projection = self.projection(config.text_config.hidden_size)
        if AUDIO in config.modalities:
            if isinstance(config.audio_config, PreTrainedConfig):
                encoder = audio_model if audio_model is not None else audio_model_from_config(config.audio_config)
                config.audio_config = encoder.config
                self.audio_model = PretrainedAudio(encoder, config.pooling)
                self.main_inputs = MAIN_INPUTS | {AUDIO: self.audio_model.main_input}
            else:
                self.audio_model = AUDIO_ENCODERS[config.audio_encoder](config)
            self.audio_projection = self.projection(self.audio_model.output_size)
        if isinstance(config.vision_config, PreTrainedConfig):
            self.vision_model = (
                vision_model if vision_model is not None else vision_model_from_config(config.vision_config)
            )
            config.vision_config = self.vision_model.config
            self.vision_pooling = POOLINGS[config.pooling](vision_output_size(config.vision_config))
            self.vision_projection = self.projection(vision_output_size(config.vision_config))
        self.post_init()

    def projection(self, size: int) -> nn.Module:
        """What makes an embedding of what an encoder gives, vectors of `size`."""
        return nn.Linear(size, self.config.hidden_size)

    def get_input_embeddings(self) -> nn.Module:
        """The first layer of the first encoder: token embeddings, a convolution or patch embeddings."""
        if TEXT in self.config.modalities:
            return self.text_model.get_input_embeddings()
        if AUDIO in self.config.modalities:
            return self.audio_model.first_layer
        return self.vision_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the text encoder's token embeddings."""
        self.text_model.set_input_embeddings(value)

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
        text_features: torch.FloatTensor | None = None,
        video_features: torch.FloatTensor | None = None,
        input_values: torch.FloatTensor | None = None,
        audio_features: torch.FloatTensor | None = None,
        **kwargs: Unpack[Requests],
    ) -> TrimodalModelOutput:
        """Embed a batch of utterances. Any subset of the modalities serves, also a different one in each sample.

        Args:
            input_ids (batch, tokens), int, optional.
            attention_mask (batch, tokens), optional: 1 = real.
            token_type_ids (batch, tokens), int, optional.
            text_turn_mask (batch, tokens), optional: 1 = a token of the sample's own text, over which is pooled, 0 =
                of an earlier turn, which is only read; left out: all are its own.
            text_present (batch,), optional: 1 = this sample has text; left out: every sample has.
            input_features (batch, frames, mel bands), optional: normalised log-mel energies; or the features that an
                encoder of `audio_config` takes.
            feature_attention_mask (batch, frames), or (batch, samples) of `input_values`, optional: 1 = real.
            audio_present (batch,), optional.
            pixel_values_videos (batch, frames, 3, height, width), optional: normalised RGB.
            video_attention_mask (batch, frames), optional: 1 = real.
            video_present (batch,), optional.
            text_features (batch, size), optional: instead of `input_ids`, what `encode_text` gave for them.
            video_features (batch, size), optional: likewise, of `encode_video`.
            input_values (batch, samples), optional: sound, in place of `input_features`, where the encoder of
                `audio_config` takes that.
            audio_features (batch, layers, size), optional: instead of either, what `encode_audio` gave for it.
            kwargs: `output_attentions`, which needs `attn_implementation="eager"`, `output_hidden_states` and
                `return_dict`; left out: what the configuration says.

        Raises:
            TypeError: an argument that there is not.
            ValueError: a modality that the model has no encoder for, one that was passed twice, a sample without any
                modality, or attentions of an implementation that has none.
        """
        text = _either(input_ids=input_ids, text_features=text_features)
        video = _either(pixel_values_videos=pixel_values_videos, video_features=video_features)
        audio = _either(input_features=input_features, input_values=input_values, audio_features=audio_features)
        inputs = {TEXT: text, AUDIO: audio, VIDEO: video}
        given = {TEXT: text_present, AUDIO: audio_present, VIDEO: video_present}
        resolved = {name: resolve_presence(name, inputs[name], given[name]) for name in inputs}
        present = {name: samples for name, samples in resolved.items() if samples is not None}
        presence = self.presence_matrix(present)
        embeddings, fields = {}, {}
        vectors = text_features
        if input_ids is not None:
            vectors, found = self.encode_text(
                input_ids, attention_mask, token_type_ids, present[TEXT], text_turn_mask, **kwargs
            )
            fields |= found
        if vectors is not None:
            embeddings[TEXT] = self.text_projection(blank_absent(vectors, present[TEXT]).to(self.dtype))
        if audio is not None:
            self._check_audio(input_features=input_features, input_values=input_values, audio_features=audio_features)
            vectors = self.audio_vectors(audio, feature_attention_mask, present[AUDIO], audio_features)
            embeddings[AUDIO] = self.audio_projection(vectors.to(self.dtype))
        vectors = video_features
        if pixel_values_videos is not None:
            vectors, found = self.encode_video(pixel_values_videos, video_attention_mask, present[VIDEO], **kwargs)
            fields |= found
        if vectors is not None:
            embeddings[VIDEO] = self.vision_projection(blank_absent(vectors, present[VIDEO]).to(self.dtype))
        return TrimodalModelOutput(embeddings=self._stack(embeddings, presence), presence=presence, **fields)

    def encode_text(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        present: Tensor,
        text_turn_mask: Tensor | None = None,
        **requests,
    ) -> tuple[Tensor, dict]:
        """The real tokens' last hidden states, pooled (batch, text hidden size), and fields that were asked for."""
        stream = self.text_tokens(input_ids, attention_mask, token_type_ids, present, text_turn_mask, **requests)
        return self.text_pooling(stream.tokens, stream.mask), stream.recorded

    def text_tokens(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        present: Tensor,
        text_turn_mask: Tensor | None = None,
        **requests,
    ) -> Stream:
        """The last hidden states (batch, tokens, text hidden size), real where a token is the sample's own."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        mask = blank_absent(attention_mask, present, fill=1)  # a row without any token would be NaN after softmax
        kwargs = {} if token_type_ids is None else {"token_type_ids": blank_absent(token_type_ids, present)}
        output = self.text_model(
            input_ids=blank_absent(input_ids, present),
            attention_mask=mask,
            return_dict=True,
            **kwargs,
            **requests,
        )
        own = mask if text_turn_mask is None else mask * blank_absent(text_turn_mask, present)
        return Stream(output.last_hidden_state, own.bool(), recorded(output, "text"))

    def encode_audio(self, inputs: Tensor, feature_attention_mask: Tensor | None, present: Tensor) -> Tensor:
        """What each layer of a pretrained encoder gives, pooled over time: float32 (batch, layers + 1, size).

        Args:
            inputs, feature_attention_mask: as `forward` takes them, in `input_values` or `input_features`.
            present (batch,), bool.
        """
        mask = blank_absent(real_steps(inputs, feature_attention_mask), present, fill=1)
        return self.audio_model(blank_absent(inputs, present).to(self.dtype), mask)

    def audio_vectors(
        self,
        inputs: Tensor,
        feature_attention_mask: Tensor | None,
        present: Tensor,
        audio_features: Tensor | None = None,
    ) -> Tensor:
        """What the audio encoder gives, pooled over time: (batch, its output size)."""
        if self.config.audio_config is None:
            features = blank_absent(inputs, present).to(self.dtype)
            return self.audio_model(features, blank_absent(real_steps(inputs, feature_attention_mask), present))
        if audio_features is None:
            audio_features = self.encode_audio(inputs, feature_attention_mask, present)
        return self.audio_model.layer_weights(blank_absent(audio_features, present))

    def _check_audio(self, **given: Tensor | None) -> None:
        """ValueError for an input, by its argument's name, that the audio encoder does not take."""
        taken = [self.main_inputs[AUDIO]] + (["audio_features"] if self.config.audio_config is not None else [])
        if wrong := [name for name, value in given.items() if value is not None and name not in taken]:
            raise ValueError(f"`{wrong[0]}` was passed, but the audio encoder takes `{'` or `'.join(taken)}`.")

    def encode_video(
        self,
        pixel_values_videos: Tensor,
        video_attention_mask: Tensor | None,
        present: Tensor,
        **requests,
    ) -> tuple[Tensor, dict]:
        """The real frames' vectors, pooled (batch, `vision_output_size`), and fields that were asked for."""
        stream = self.frame_tokens(pixel_values_videos, video_attention_mask, present, **requests)
        return self.vision_pooling(stream.tokens, stream.mask), stream.recorded

    def frame_tokens(
        self, pixel_values_videos: Tensor, video_attention_mask: Tensor | None, present: Tensor, **requests
    ) -> Stream:
        """A vector a frame: (batch, frames, `vision_output_size`)."""
        mask = blank_absent(real_steps(pixel_values_videos, video_attention_mask), present)
        pixels = blank_absent(pixel_values_videos, present).to(self.dtype)
        vectors, fields = encode_frames(self.vision_model, pixels, **requests)
        return Stream(vectors, mask.bool(), fields)

    def _stack(self, embeddings: dict, presence: Tensor) -> Tensor:
        """Embeddings (batch, modalities, hidden size), 0 where absent."""
        blank = torch.zeros_like(next(iter(embeddings.values())))
        stacked = torch.stack([embeddings.get(name, blank) for name in self.config.modalities], dim=1)
        return stacked * presence.unsqueeze(-1).to(stacked.dtype)


def _either(**inputs: Tensor | None) -> Tensor | None:
    """What was passed of a modality: an encoder's inputs or what it gave for them; ValueError for several."""
    passed = {name: value for name, value in inputs.items() if value is not None}
    if len(passed) > 1:
        raise ValueError(f"Both `{'` and `'.join(passed)}` were passed: leave one out.")
    return next(iter(passed.values()), None)


class TrimodalForVideoClassification(TrimodalPreTrainedModel):
    """Base of the utterance classifiers: a trunk, one classifier a modality, and the subclass's `fuse`."""

    _auto_class = "AutoModelForVideoClassification"
    trunk_class: type[TrimodalModel] = TrimodalModel

    def __init__(
        self,
        config: TrimodalConfig,
        text_model: PreTrainedModel | None = None,
        vision_model: PreTrainedModel | None = None,
        audio_model: PreTrainedModel | None = None,
    ):
        super().__init__(config)
        self.trimodal = self.trunk_class(config, text_model, vision_model, audio_model)
        self.build_classifiers()
        self.build_fusion()
        self.post_init()

    def build_classifiers(self) -> None:
        """Create a classifier a modality."""
        size = self.config.hidden_size
        self.classifiers = nn.ModuleDict({name: self._classifier(size) for name in self.config.modalities})

    def build_fusion(self) -> None:
        """Create what `fuse` needs beyond the modalities' classifiers."""

    def fuse(self, embeddings: Tensor, presence: Tensor, modality_logits: Tensor) -> dict:
        """Join the modalities.

        Args:
            embeddings (batch, modalities, hidden size), 0 where absent.
            presence (batch, modalities), bool.
            modality_logits (batch, modalities, outputs): each modality's own classifier.

        Returns:
            fields of `TrimodalClassifierOutput`; `logits` are (batch, outputs): the labels of all tasks.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how it fuses.")

    def get_input_embeddings(self) -> nn.Module:
        """The first layer of the first encoder."""
        return self.trimodal.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the text encoder's token embeddings."""
        self.trimodal.set_input_embeddings(value)

    @classmethod
    def from_encoders_pretrained(
        cls,
        text_encoder: str | None = None,
        vision_encoder: str | None = None,
        audio_encoder: str | None = None,
        *,
        attn_implementation: str | None = None,
        **config_values,
    ) -> "TrimodalForVideoClassification":
        """A model whose encoders come from the Hub or a folder; projections and fusion are fresh.

        Args:
            text_encoder: folder or Hub id of a BERT-like model; None = freshly initialised from `text_config`.
            vision_encoder: folder or Hub id of a CLIP-like model (of a whole CLIP, the vision half is taken).
            audio_encoder: folder or Hub id of an encoder of sound, of `SOUND_ENCODERS`; or "cnn" or "cnn2d", which
                learn from log-mel features (default: by `audio_config`, or else "cnn").
            attn_implementation: how the encoders attend, as transformers names it; its choice by default.
            config_values: fields of the configuration.
        """
        text_model = encoder_from_pretrained(text_encoder) if text_encoder else None
        vision_model = vision_model_from_pretrained(vision_encoder) if vision_encoder else None
        audio_model = None
        if audio_encoder in AUDIO_CHANNELS:
            config_values["audio_encoder"] = audio_encoder
        elif audio_encoder:
            audio_model = audio_model_from_pretrained(audio_encoder)
            config_values["audio_config"] = audio_model.config.to_dict()
        if text_model is not None:
            config_values["text_config"] = text_model.config.to_dict()
        if vision_model is not None:
            config_values["vision_config"] = vision_model.config.to_dict()
        model = cls(cls.config_class(**config_values), text_model, vision_model, audio_model)
        if attn_implementation is not None:
            model.set_attn_implementation(attn_implementation)
        return model

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
        text_features: torch.FloatTensor | None = None,
        video_features: torch.FloatTensor | None = None,
        input_values: torch.FloatTensor | None = None,
        audio_features: torch.FloatTensor | None = None,
        labels: Tensor | dict[str, Tensor] | None = None,
        sample_weights: torch.FloatTensor | None = None,
        output_modality_logits: bool = False,
        **kwargs: Unpack[Requests],
    ) -> TrimodalClassifierOutput:
        """Classify a batch of utterances. The inputs are those of `TrimodalModel.forward`.

        Args:
            labels: see `classification_loss`; a tensor, or of several tasks a dictionary of them by name, from which
                tasks may be left out.
            sample_weights (batch,), optional: how much each sample counts in the loss.
            output_modality_logits: also return per-modality logits and the weights of modalities and paths.
        """
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
            text_features=text_features,
            video_features=video_features,
            input_values=input_values,
            audio_features=audio_features,
            return_dict=True,
            **kwargs,
        )
        modality_logits = self._modality_logits(trunk.embeddings, trunk.presence)
        fused = self.fuse(trunk.embeddings, trunk.presence, modality_logits)
        answers = self.answers(fused.pop("logits"), labels, sample_weights)
        alone = self.by_task(modality_logits)[self.config.task]
        details = {"modality_logits": alone, **fused} if output_modality_logits else {}
        return TrimodalClassifierOutput(**answers, **details, **requested(trunk))

    def _classifier(self, in_size: int) -> ClassifierHead:
        """A classifier over all outputs."""
        config = self.config
        return ClassifierHead(in_size, config.classifier_hidden_size, config.num_outputs, config.dropout)

    def _modality_logits(self, embeddings: Tensor, presence: Tensor) -> Tensor:
        """Each modality's own logits (batch, modalities, outputs), 0 where absent."""
        each = [head(embeddings[:, i]) for i, head in enumerate(self.classifiers.values())]
        return torch.stack(each, dim=1) * presence.unsqueeze(-1).to(embeddings.dtype)
