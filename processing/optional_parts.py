"""A processor any of whose parts may be missing, which transformers' own mixin no longer allows."""

from collections.abc import Callable, Sequence
from typing import Any

from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer, AutoVideoProcessor, BatchFeature
from transformers.processing_utils import ProcessorMixin

from .video_processing_clip_frames import ClipFramesVideoProcessor

PART_LOADERS = {
    "tokenizer": AutoTokenizer,
    "image_processor": AutoImageProcessor,
    "video_processor": AutoVideoProcessor,
    "feature_extractor": AutoFeatureExtractor,
}

ARGUMENTS = {"text": "text", "audio": "audio", "video": "videos", "physio": "physio"}
"""Modality -> the argument of a processor's call that takes a batch of it."""


class _HeldParts:
    """`get_attributes`: asked of the class, every part it can hold; asked of an instance, those that it holds."""

    def __get__(self, instance: object, owner: type) -> Callable[[], list[str]]:
        names = [name for name in owner.part_names if instance is None or getattr(instance, name, None) is not None]
        return lambda: names


class OptionalPartsProcessor(ProcessorMixin):
    """Base of the processors. A subclass names its parts, takes them in that order, and hands them to `hold`."""

    _auto_class = "AutoProcessor"  # saving copies the code, for those who do not have this package
    part_names: tuple[str, ...] = ()
    part_of: dict[str, str] = {}
    """Modality -> the part that takes it."""
    feature_extractor_class: type | None = None
    """Of the part "feature_extractor"; None where there is none."""
    nested_parts: dict[str, type] = {}
    """Part -> its class, where there is another part of its kind: no Auto class would find it in the saved folder."""
    max_seconds: float
    """s of a clip that it takes."""
    video_processor: ClipFramesVideoProcessor | None
    """None where it takes no frames."""
    crop_faces = False
    """Whether the model was made for faces that were cut out of their frames."""
    turns_before = turns_after = 0
    """How many turns before and after a sample, in its conversation, it takes."""
    turns_apart = False
    """Whether each of these comes with all its modalities, by itself, rather than as text before the sample's own."""
    get_attributes = _HeldParts()  # pyright: ignore[reportAssignmentType]
    chat_template = None

    def hold(self, **parts: Any) -> None:
        """Keep the parts that are not None; TypeError for a part of the wrong kind."""
        for name in self.part_names:
            if parts[name] is not None:
                self.check_argument_for_proper_class(name, parts[name])
            setattr(self, name, parts[name])

    @property
    def modalities(self) -> list[str]:
        """Of "text", "audio", "video" and "physio", those that it holds a part for."""
        return [modality for modality in self.part_of if self.part_for(modality) is not None]

    @property
    def sampling_rate(self) -> int | None:
        """Hz of the audio that it takes; None without audio."""
        return self.feature_extractor.sampling_rate if "audio" in self.modalities else None

    @property
    def log_mel(self) -> bool:
        """Whether its sound becomes log-mel features, for an encoder from scratch; else for a pretrained one's."""
        return "feature_attention_mask" in self.require("feature_extractor", "audio").model_input_names

    def part_for(self, modality: str) -> Any:
        """The part that takes a modality; None where it is missing."""
        return getattr(self, self.part_of[modality])

    def encode(self, samples: Sequence[dict[str, Any]]) -> BatchFeature:
        """Model inputs from samples as training, the pipeline and the endpoint hold them.

        Args:
            samples: each with any of text (str), audio (samples,) at `sampling_rate`, video (time, height, width, 3)
                and physio (steps, features); of a processor that takes turns, also history and following (lists of
                such samples) and speaker; what is missing or None is absent, other keys are passed over.

        Raises:
            ValueError: as the processor's call; or a sample has what the processor has no part for.
        """
        return self.arrange(samples, self.encode_each)

    def arrange(
        self, samples: Sequence[dict[str, Any]], encode: Callable[[Sequence[dict[str, Any]]], BatchFeature]
    ) -> BatchFeature:
        """Model inputs of samples and, where the model takes them as they are, of the turns around them.

        Args:
            samples: as `encode` takes them.
            encode: what makes model inputs of samples, each by itself.
        """
        return encode(samples)

    def encode_each(self, samples: Sequence[dict[str, Any]]) -> BatchFeature:
        """Model inputs of samples, each by itself, as `encode`."""
        held = [name for name in ARGUMENTS if any(sample.get(name) is not None for sample in samples)]
        batch: dict[str, Any] = {ARGUMENTS[name]: [sample.get(name) for sample in samples] for name in held}
        if foreign := [name for name in held if name not in self.modalities]:
            raise ValueError(f"The samples hold {foreign}, but this processor takes {self.modalities}: leave it out.")
        if "audio" in held:
            batch["sampling_rate"] = self.sampling_rate
        return self(**batch, **self.context_of(samples))

    def context_of(self, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Arguments of a call that say what else it has to know of the samples."""
        return {}

    def require(self, part: str, argument: str) -> Any:
        """The part that `argument` needs; ValueError when this processor was made without it."""
        held = getattr(self, part)
        if held is None:
            raise ValueError(
                f"`{argument}` was passed to a processor without a {part} (it holds {self.get_attributes()}): "
                f"leave `{argument}` out, or build the processor with a {part}."
            )
        return held

    def to_dict(self) -> dict:
        """As in transformers, with the names of the parts that are held."""
        output = super().to_dict()
        held = self.get_attributes()
        return {key: value for key, value in output.items() if key not in self.part_names or key in held} | {
            "parts": held
        }

    @classmethod
    def _get_arguments_from_pretrained(
        cls, pretrained_model_name_or_path: str, processor_dict: dict | None = None, **kwargs
    ) -> list[Any | None]:
        settings = processor_dict or {}
        held = settings.get("parts", cls.part_names)
        loaded = {
            name: PART_LOADERS[name].from_pretrained(pretrained_model_name_or_path, **kwargs)
            for name in cls.part_names
            if name in held and name not in cls.nested_parts
        }
        loaded |= {name: part.from_dict(settings[name]) for name, part in cls.nested_parts.items() if name in held}
        return [loaded.get(name) for name in cls.part_names]
