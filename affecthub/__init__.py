"""affecthub: from your own recordings of people to an emotion model on the Hub.

After `import affecthub`, transformers' Auto classes and `pipeline` know every architecture made here, without
`trust_remote_code`. That import loads neither torch nor transformers: a class is loaded when it is asked for.

Holds the names below; the rooms lie at the repository's root, and the links beside this file lead there.
"""

from importlib import import_module
from typing import Any

from affecthub.architectures import PROCESSORS, modules_of
from affecthub.auto_classes import follow_transformers

__version__ = "0.1.0"

NAMES = {name: module for model_type in PROCESSORS for name, module in modules_of(model_type).items()} | {
    "AffectRecognitionPipeline": "affecthub.inference.pipeline_affect",
    "ClipFramesVideoProcessor": "affecthub.processing.video_processing_clip_frames",
    "LogMelFeatureExtractor": "affecthub.processing.feature_extraction_log_mel",
    "PhysioFeatureExtractor": "affecthub.processing.feature_extraction_physio",
}
"""Public name -> the module that holds it."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any class
    """A class, loaded now."""
    if name not in NAMES:
        raise AttributeError(f"module 'affecthub' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(NAMES[name]), name)
    return value


def __dir__() -> list[str]:
    """Its own names, and those that are not loaded yet."""
    return sorted({*globals(), *NAMES})


follow_transformers()
