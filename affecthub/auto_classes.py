"""What makes transformers know our architectures and the pipeline after a bare `import affecthub`.

They can be registered neither when this package is imported, which would load torch and all models, nor when
transformers' Auto classes are: transformers' own modules import one another in circles, ours import them, and each
would find the other half done. So they are registered when an Auto class first looks for one of ours. Until then the
table in which such a class keeps what was registered (`_extra_content`) is one that waits for that look-up.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType

from affecthub.architectures import PROCESSORS, architecture_named

TABLES = {
    "transformers.models.auto.configuration_auto": ("CONFIG_MAPPING",),
    "transformers.models.auto.modeling_auto": ("MODEL_MAPPING", "MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING"),
    "transformers.models.auto.processing_auto": ("PROCESSOR_MAPPING",),
    "transformers.models.auto.video_processing_auto": ("VIDEO_PROCESSOR_MAPPING",),
    "transformers.models.auto.feature_extraction_auto": ("FEATURE_EXTRACTOR_MAPPING",),
    "transformers.pipelines": ("PIPELINE_REGISTRY",),
}
"""Module of transformers -> what in it holds such a table."""

TASK = "affect-recognition"
"""The pipeline's, which is not loaded to learn it."""


class Once:
    """An action that runs when it is first called; other threads wait for it, calls from within it return at once."""

    def __init__(self, action: Callable[[], None]):
        self.action, self.lock = action, RLock()

    def __call__(self) -> None:
        """Run it, if it has not run; if it fails, the next call tries again."""
        with self.lock:
            action, self.action = self.action, None
            try:
                if action:
                    action()
            except BaseException:
                self.action = action
                raise


@Once
def register_architectures() -> None:
    """Register every architecture of this package."""
    for name in PROCESSORS:
        architecture_named(name).tell_transformers()


@Once
def register_pipeline() -> None:
    """Register the pipeline."""
    from transformers import AutoModelForVideoClassification
    from transformers.pipelines import PIPELINE_REGISTRY

    from affecthub.inference.pipeline_affect import AffectRecognitionPipeline

    PIPELINE_REGISTRY.register_pipeline(TASK, AffectRecognitionPipeline, pt_model=AutoModelForVideoClassification)


def is_ours(key: str | type) -> bool:
    """Whether a key of a table is ours: a `model_type`, a task, or a configuration's class.

    For others nothing is loaded: transformers looks some up while its own modules are half imported.
    """
    return key in PROCESSORS or key == TASK or getattr(key, "__module__", "").startswith("affecthub.")


def _when_filled(look: Callable) -> Callable:
    def filled(table: "Waiting", *arguments) -> object:
        if not arguments or is_ours(arguments[0]):
            table.fill()
        return look(table, *arguments)

    return filled


class Waiting(dict):
    """A table that is filled before a look-up of something of ours, or of everything."""

    def __init__(self, content: dict, fill: Callable[[], None]):
        super().__init__(content)
        self.fill = fill

    __contains__, __getitem__, get = map(_when_filled, (dict.__contains__, dict.__getitem__, dict.get))
    __iter__, __len__ = map(_when_filled, (dict.__iter__, dict.__len__))
    keys, values, items = map(_when_filled, (dict.keys, dict.values, dict.items))


def make_wait(module: ModuleType) -> None:
    """Let the tables of a module wait, if it is one of those above."""
    for name in TABLES.get(module.__name__, ()):
        holder = getattr(module, name)
        if name == "PIPELINE_REGISTRY":
            holder.supported_tasks = Waiting(holder.supported_tasks, register_pipeline)
        else:
            holder._extra_content = Waiting(holder._extra_content, register_architectures)


class AfterImport(MetaPathFinder):
    """Finds the modules above as Python does, and does `make_wait` when one has been executed."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """As `MetaPathFinder`; None for any other module."""
        spec = PathFinder.find_spec(name, path) if name in TABLES else None
        if spec is not None and (loader := spec.loader) is not None:
            execute = loader.exec_module

            def execute_and_wait(module: ModuleType) -> None:
                execute(module)
                make_wait(module)

            loader.exec_module = execute_and_wait
        return spec


def follow_transformers() -> None:
    """Let the tables wait: of modules that are there now, and of the others as soon as they are imported."""
    for name in TABLES:
        if name in sys.modules:
            make_wait(sys.modules[name])
    sys.meta_path.insert(0, AfterImport())
