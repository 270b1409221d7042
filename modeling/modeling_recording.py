"""The trunk and the classifier that all models of recordings share.

```
 pixel_values_videos -> frame encoder ----> tokens --+
 physio_values -------> feature encoder --> tokens --+--> fuse() --> embedding (batch, size) --> head --> logits
 input_values --------> WaveNet ----------> tokens --+
```

An architecture has one to two of these rows; it adds its encoders and `fuse`. They register as video classification,
frames included: a frame is a clip of one frame, and image classification could carry neither clips nor a second
modality.
"""

from functools import partial
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.utils import can_return_tuple
from transformers.utils.output_capturing import capture_outputs

from .attention import FROM_TORCH_ATTENTION
from .base import AffectPreTrainedModel, Requests, on_request
from .configuration_recording import RecordingConfig
from .encoders import encoder_from_config, encoder_from_pretrained, recorded
from .frames import encode_frames
from .fusion import ModalityWeights
from .heads import MlpHead
from .modalities import AUDIO, MAIN_INPUTS, PHYSIO, VIDEO, resolve_presence
from .outputs import RecordingClassifierOutput, RecordingModelOutput, requested
from .pooling import POOLINGS
from .tokens import Stream

Passed = tuple[Tensor | None, Tensor | None, Tensor | None]
"""A modality as `forward` gets it: values (batch, steps, ...), mask (batch, steps), presence (batch,)."""

AXES = {
    VIDEO: ("batch", "frames", "channels", "height", "width"),
    PHYSIO: ("batch", "steps", "features"),
    AUDIO: ("batch", "samples"),
}


class RecordingPreTrainedModel(AffectPreTrainedModel):
    """What trunk and classifiers share."""

    config: RecordingConfig
    config_class: type[RecordingConfig] = RecordingConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values_videos"
    main_inputs = MAIN_INPUTS | {AUDIO: "input_values"}  # the raw waveform
    encoder_prefixes = ("vision_model.",)
    _no_split_modules = ["TransformerLayer", "CrossAttentionLayer", "MaskedAttention", "WaveNetLayer"]

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls._can_record_outputs:  # a trunk with attention of its own
            register_checkpoint_conversion_mapping(cls.config_class.model_type, FROM_TORCH_ATTENTION, overwrite=True)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, ModalityWeights):
            init.copy_(module.scores, module.initial_scores())
        if isinstance(module, nn.Conv1d):  # WaveNet's: no norm follows, so the scale has to be right from the start
            init.kaiming_normal_(module.weight, nonlinearity="linear")


class RecordingModel(RecordingPreTrainedModel):
    """Base of the trunks: a sample becomes one vector."""

    every_patch = False
    """Whether fusion wants all tokens of a frame, or its class token alone."""

    def __init__(self, config: RecordingConfig, vision_model: PreTrainedModel | None = None):
        super().__init__(config)
        if isinstance(config.vision_config, PreTrainedConfig):
            self.vision_model = vision_model if vision_model is not None else encoder_from_config(config.vision_config)
            config.vision_config = self.vision_model.config  # one object, so that how it attends stays in sync
        self.pooling = POOLINGS[config.pooling](config.stream_size)
        self.build()
        self.post_init()

    def build(self) -> None:
        """Create what the architecture has beyond its frame encoder."""

    def fuse(self, streams: dict[str, Stream]) -> dict:
        """Join the modalities; here: the real frames, pooled.

        Hidden states and attentions of what an architecture has here are recorded by its `_can_record_outputs`.

        Args:
            streams: of every modality of the configuration; of one that was not passed, a blank.

        Returns:
            fields of `RecordingModelOutput`, `embeddings` (batch, size) among them.
        """
        return {"embeddings": self.pooling(*streams[VIDEO][:2])}

    def encode_frames(self, pixel_values: Tensor, **requests) -> tuple[Tensor, dict]:
        """Pixels (frames, 3, height, width) -> tokens (frames, tokens, size), and fields that were asked for."""
        output = self.vision_model(pixel_values=pixel_values, return_dict=True, **requests)
        tokens = output.last_hidden_state
        return tokens if self.every_patch else tokens[:, :1], recorded(output, "vision")

    def encode_video(self, pixel_values_videos: Tensor, mask: Tensor, **requests) -> Stream:
        """Pixels (batch, frames, 3, height, width) -> tokens of all frames."""
        every_frame = torch.compiler.is_compiling() and not any(
            isinstance(part, _BatchNorm) and part.training for part in self.modules()
        )
        return encode_frames(partial(self.encode_frames, **requests), pixel_values_videos, mask, every_frame)

    def encode_physio(self, physio_values: Tensor, mask: Tensor) -> Stream:
        """Features (batch, steps, features) -> tokens."""
        raise NotImplementedError(f"{type(self).__name__} has no physiology.")

    def encode_audio(self, input_values: Tensor, mask: Tensor) -> Stream:
        """Waveform (batch, samples) -> tokens."""
        raise NotImplementedError(f"{type(self).__name__} has no audio.")

    def get_input_embeddings(self) -> nn.Module:
        """The first layer of the frame encoder."""
        return self.vision_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the first layer of the frame encoder."""
        self.vision_model.set_input_embeddings(value)

    def encode(self, video: Passed, physio: Passed, audio: Passed, **requests) -> tuple[dict[str, Stream], Tensor]:
        """Encode each modality by itself.

        Args:
            video, physio, audio: values, their mask in time and their presence, as `forward` gets them.
            requests: what the frame encoder records, as `forward`.

        Returns:
            the streams of the modalities that some sample holds, and presence, bool (batch, modalities).
        """
        given = {VIDEO: video, PHYSIO: physio, AUDIO: audio}
        steps = {name: self._real_steps(name, *passed) for name, passed in given.items()}
        masks = {name: real for name, real in steps.items() if real is not None}
        presence = self.presence_matrix({name: mask.any(dim=1) for name, mask in masks.items()})
        encoders = {
            VIDEO: partial(self.encode_video, **requests),
            PHYSIO: self.encode_physio,
            AUDIO: self.encode_audio,
        }
        streams = {}
        for name, mask in masks.items():
            values = given[name][0]
            if values is not None and (torch.compiler.is_compiling() or bool(mask.any())):
                real = mask.view(*mask.shape, *[1] * (values.dim() - 2))
                # what stands in padding may be anything, NaN included
                values = torch.where(real, values, 0).to(self.dtype)
                streams[name] = encoders[name](values, mask)
        return streams, presence

    def _real_steps(
        self, name: str, values: Tensor | None, mask: Tensor | None, present: Tensor | None
    ) -> Tensor | None:
        """Steps in time that are real and belong to a present modality, bool (batch, steps); None: not passed."""
        argument = self.main_inputs[name]
        if values is not None and values.dim() != len(AXES[name]):
            raise ValueError(f"`{argument}` has shape {tuple(values.shape)}; expected ({', '.join(AXES[name])}).")
        present = resolve_presence(name, values, present, argument)
        if values is None or present is None:
            return None
        real = present.unsqueeze(1).expand(values.shape[:2])
        return real if mask is None else real & mask.bool()

    def join(
        self,
        streams: dict[str, Stream],
        presence: Tensor,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> dict:
        """`fuse` on what `presence`, bool (batch, modalities), leaves of the streams, with what was asked for."""
        blank = next(iter(streams.values())).blank()
        shown = {name: streams.get(name, blank).where(presence[:, i]) for i, name in enumerate(self.config.modalities)}
        return self._recorded_fuse(shown, **self.to_record(output_attentions, output_hidden_states))

    @capture_outputs
    def _recorded_fuse(self, streams: dict[str, Stream], **requests) -> dict:
        return self.fuse(streams)

    @torch.no_grad()
    def _each_alone(self, streams: dict[str, Stream], presence: Tensor) -> Tensor:
        """Each modality's own embedding (batch, modalities, size), 0 where absent."""
        each = {}
        for i, name in enumerate(self.config.modalities):
            alone = torch.zeros_like(presence)
            alone[:, i] = presence[:, i]
            if name in streams:
                each[name] = self.join(streams, alone)["embeddings"]
        blank = torch.zeros_like(next(iter(each.values())))
        stacked = torch.stack([each.get(name, blank) for name in self.config.modalities], dim=1)
        return torch.where(presence.unsqueeze(-1), stacked, 0)

    @on_request
    def forward(
        self,
        pixel_values_videos: torch.FloatTensor | None = None,
        video_attention_mask: Tensor | None = None,
        video_present: Tensor | None = None,
        physio_values: torch.FloatTensor | None = None,
        physio_attention_mask: Tensor | None = None,
        physio_present: Tensor | None = None,
        input_values: torch.FloatTensor | None = None,
        audio_attention_mask: Tensor | None = None,
        audio_present: Tensor | None = None,
        output_modality_embeddings: bool = False,
        **kwargs: Unpack[Requests],
    ) -> RecordingModelOutput:
        """Embed a batch. Any subset of the architecture's modalities serves, also a different one in each sample.

        Args:
            pixel_values_videos (batch, frames, 3, height, width), optional: normalised RGB; a frame has frames = 1.
            video_attention_mask (batch, frames), optional: 1 = real.
            video_present (batch,), optional: 1 = this sample has video; left out: every sample has.
            physio_values (batch, steps, features), optional: standardised features; a vector has steps = 1.
            physio_attention_mask (batch, steps), optional: 1 = real.
            physio_present (batch,), optional.
            input_values (batch, samples), optional: normalised mono waveform.
            audio_attention_mask (batch, samples), optional: 1 = real.
            audio_present (batch,), optional.
            output_modality_embeddings: also return what each modality alone gives, with no gradient.
            kwargs: `output_attentions`, which needs `attn_implementation="eager"`, `output_hidden_states` and
                `return_dict`; left out: what the configuration says.

        Raises:
            TypeError: an argument that there is not.
            ValueError: a modality that the model has no encoder for, a sample without any modality, or attentions of
                an implementation that has none.
        """
        streams, presence = self.encode(
            (pixel_values_videos, video_attention_mask, video_present),
            (physio_values, physio_attention_mask, physio_present),
            (input_values, audio_attention_mask, audio_present),
            **kwargs,
        )
        each = self._each_alone(streams, presence) if output_modality_embeddings else None
        fields = self.join(streams, presence, **kwargs)
        for stream in streams.values():
            fields |= stream.recorded
        return RecordingModelOutput(presence=presence, modality_embeddings=each, **fields)


class RecordingForVideoClassification(RecordingPreTrainedModel):
    """Base of the classifiers: a trunk and a head."""

    _auto_class = "AutoModelForVideoClassification"
    trunk_class: type[RecordingModel] = RecordingModel

    def __init__(self, config: RecordingConfig, vision_model: PreTrainedModel | None = None):
        super().__init__(config)
        self.model = self.trunk_class(config, vision_model)
        self.head = self.build_head()
        self.post_init()

    def build_head(self) -> nn.Module:
        """The classifier: (batch, embedding size) -> (batch, outputs)."""
        config = self.config
        return MlpHead(
            config.embedding_size, config.head_sizes, config.num_outputs, config.head_dropouts, config.head_activation
        )

    @classmethod
    def from_encoders_pretrained(
        cls, vision_encoder: str | None = None, *, attn_implementation: str | None = None, **config_values
    ) -> "RecordingForVideoClassification":
        """A model whose frame encoder comes from the Hub or a folder; everything else is fresh.

        Args:
            vision_encoder: folder or Hub id, for example "google/vit-base-patch16-224" or "microsoft/resnet-50" for
                ImageNet weights; None = freshly initialised.
            attn_implementation: how the encoder attends, as transformers names it; its choice by default.
            config_values: fields of the configuration.
        """
        if vision_encoder is not None and cls.config_class.default_vision is None:
            raise ValueError(
                f"vision_encoder={vision_encoder!r}: a {cls.config_class.model_type} model has no pretrained encoder; "
                "leave it out, or take frame_resnet or frame_vit."
            )
        vision_model = encoder_from_pretrained(vision_encoder) if vision_encoder else None
        if vision_model is not None:
            config_values["vision_config"] = vision_model.config.to_dict()
        model = cls(cls.config_class(**config_values), vision_model=vision_model)
        if attn_implementation is not None:
            model.set_attn_implementation(attn_implementation)
        return model

    def get_input_embeddings(self) -> nn.Module:
        """The first layer of the frame encoder."""
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the first layer of the frame encoder."""
        self.model.set_input_embeddings(value)

    @can_return_tuple
    def forward(
        self,
        pixel_values_videos: torch.FloatTensor | None = None,
        video_attention_mask: Tensor | None = None,
        video_present: Tensor | None = None,
        physio_values: torch.FloatTensor | None = None,
        physio_attention_mask: Tensor | None = None,
        physio_present: Tensor | None = None,
        input_values: torch.FloatTensor | None = None,
        audio_attention_mask: Tensor | None = None,
        audio_present: Tensor | None = None,
        labels: Tensor | dict[str, Tensor] | None = None,
        sample_weights: torch.FloatTensor | None = None,
        output_modality_logits: bool = False,
        **kwargs: Unpack[Requests],
    ) -> RecordingClassifierOutput:
        """Classify a batch. The inputs are those of `RecordingModel.forward`.

        Args:
            labels: see `classification_loss`; a tensor, or of several tasks a dictionary of them by name, from which
                tasks may be left out.
            sample_weights (batch,), optional: how much each sample counts in the loss.
            output_modality_logits: also return per-modality logits, and the modality weights of a model that has some.
        """
        trunk = self.model(
            pixel_values_videos=pixel_values_videos,
            video_attention_mask=video_attention_mask,
            video_present=video_present,
            physio_values=physio_values,
            physio_attention_mask=physio_attention_mask,
            physio_present=physio_present,
            input_values=input_values,
            audio_attention_mask=audio_attention_mask,
            audio_present=audio_present,
            output_modality_embeddings=output_modality_logits,
            return_dict=True,
            **kwargs,
        )
        details = {}
        if output_modality_logits:
            logits = self._modality_logits(trunk.modality_embeddings, trunk.presence)
            details = {"modality_logits": logits, "modality_weights": trunk.modality_weights}
        return RecordingClassifierOutput(
            **self.answers(self.head(trunk.embeddings), labels, sample_weights), **details, **requested(trunk)
        )

    @torch.no_grad()
    def _modality_logits(self, embeddings: Tensor, presence: Tensor) -> Tensor:
        """What the model says to each modality alone (batch, modalities, labels), 0 where absent."""
        stacked = torch.stack([self.head(alone) for alone in embeddings.unbind(dim=1)], dim=1)
        return torch.where(presence.unsqueeze(-1), self.by_task(stacked)[self.config.task], 0)


__all__ = ["RecordingModel", "RecordingForVideoClassification"]
