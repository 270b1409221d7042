"""The list of architectures: recipes, the Auto classes, the package's face and the shared tests read it.

May import: `modeling` and `processing`, and these only when a class is asked for.
"""

import difflib
from dataclasses import dataclass
from functools import cache
from importlib import import_module

PROCESSORS = {
    "unimodal_baseline": "trimodal",
    "trimodal_late_fusion": "trimodal",
    "trimodal_ensemble": "trimodal",
    "dialogue": "dialogue",
    "token_fusion": "multimodal",
    "frame_cnn": "frame",
    "frame_vit": "frame",
    "frame_resnet": "frame",
    "temporal_vit": "frame",
    "physio_concat": "physio_video",
    "physio_cross_attention": "physio_video",
    "physio_pretrained_fusion": "physio_video",
    "audio_visual_fusion": "audio_visual",
}
"""`model_type` -> its processor. The classes follow from both names: an architecture "frame_cnn" with "frame" is
`FrameCnnConfig` in configuration_frame_cnn.py, `FrameCnnModel` and `FrameCnnForVideoClassification` in
modeling_frame_cnn.py, and `FrameProcessor` in processing_frame.py."""


@dataclass(frozen=True)
class Architecture:
    """The classes of an architecture."""

    config_class: type
    model_class: type
    """The trunk: what `AutoModel` loads."""
    classifier_class: type
    """What `AutoModelForVideoClassification` loads."""
    processor_class: type

    @property
    def model_type(self) -> str:
        """Its name in recipes and in `config.json`."""
        return self.config_class.model_type

    @property
    def modalities(self) -> tuple[str, ...]:
        """All that it takes, of "text", "audio", "video" and "physio"."""
        return self.config_class.allowed_modalities

    def tell_transformers(self) -> None:
        """Let the Auto classes find these."""
        from transformers import (
            AutoConfig,
            AutoFeatureExtractor,
            AutoModel,
            AutoModelForVideoClassification,
            AutoProcessor,
            AutoVideoProcessor,
        )

        from affecthub.processing.video_processing_clip_frames import ClipFramesVideoProcessor

        config, extractor = self.config_class, self.processor_class.feature_extractor_class
        AutoConfig.register(self.model_type, config)
        AutoModel.register(config, self.model_class)
        AutoModelForVideoClassification.register(config, self.classifier_class)
        AutoProcessor.register(config, self.processor_class)
        AutoVideoProcessor.register(config, ClipFramesVideoProcessor)
        if extractor is not None:
            AutoFeatureExtractor.register(config, extractor)


_registered: dict[str, Architecture] = {}


def register(config_class: type, model_class: type, classifier_class: type, processor_class: type) -> Architecture:
    """Add an architecture of your own, for this process: recipes and the Auto classes know it from then on.

    Call it in the module that defines the classes; `--model.architecture=my_module.mine` imports that module.

    Args:
        config_class: a subclass of `AffectConfig` with a `model_type` of its own.
        model_class: its trunk.
        classifier_class: its classifier.
        processor_class: one of this package's processors, or your own `OptionalPartsProcessor`.

    Raises:
        ValueError: the name is taken by one of this package's.
    """
    architecture = Architecture(config_class, model_class, classifier_class, processor_class)
    name = architecture.model_type
    if name in PROCESSORS:
        raise ValueError(f"{config_class.__name__}.model_type={name!r}: there is such an architecture; rename yours.")
    _registered[name] = architecture
    architecture.tell_transformers()
    return architecture


def architecture_names() -> list[str]:
    """The `model_type` of every architecture, yours last."""
    return [*PROCESSORS, *_registered]


def architecture_named(name: str) -> Architecture:
    """The architecture of a `model_type`.

    Args:
        name: `frame_cnn`; or `my_module.mine`, of one of yours that `my_module` registers when it is imported.

    Raises:
        ValueError: there is none; the message has the nearest name, and all of them.
    """
    module, _, name = name.rpartition(".")
    if module:
        _import_yours(module)
    if name in _registered:
        return _registered[name]
    if name in PROCESSORS:
        return _load(name)
    known = architecture_names()
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    raise ValueError(f"there is no architecture {name!r}{hint} Architectures: {', '.join(known)}.")


def modules_of(model_type: str) -> dict[str, str]:
    """The classes of an architecture of ours, in `Architecture`'s order -> the modules that hold them."""
    prefix, processor = _camel_case(model_type), PROCESSORS[model_type]
    return {
        f"{prefix}Config": f"affecthub.modeling.configuration_{model_type}",
        f"{prefix}Model": f"affecthub.modeling.modeling_{model_type}",
        f"{prefix}ForVideoClassification": f"affecthub.modeling.modeling_{model_type}",
        f"{_camel_case(processor)}Processor": f"affecthub.processing.processing_{processor}",
    }


def _import_yours(module: str) -> None:
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(f"there is no architecture in {module}, which cannot be imported: {error}") from error


@cache
def _load(model_type: str) -> Architecture:
    return Architecture(*(getattr(import_module(module), name) for name, module in modules_of(model_type).items()))


def _camel_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
