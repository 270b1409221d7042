"""affecthub: from your own recordings of people to an emotion model on the Hub.

Importing it registers every architecture with the Auto classes of transformers, so that `AutoModel.from_pretrained`
needs no `trust_remote_code` for a model made here.
"""

from pathlib import Path as _Path

__version__ = "0.1.0"

_root = _Path(__file__).resolve().parent.parent
if (_root / "modeling" / "__init__.py").is_file() and (_root / "pyproject.toml").is_file():
    __path__.append(str(_root))  # a checkout: the rooms lie at its root, and ./affecthub must not hide them

from transformers import (  # noqa: E402 - the rooms can be imported only from here on
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForVideoClassification,
    AutoProcessor,
    AutoVideoProcessor,
)

from affecthub.modeling.configuration_trimodal_ensemble import TrimodalEnsembleConfig  # noqa: E402
from affecthub.modeling.configuration_trimodal_late_fusion import TrimodalLateFusionConfig  # noqa: E402
from affecthub.modeling.configuration_unimodal_baseline import UnimodalBaselineConfig  # noqa: E402
from affecthub.modeling.modeling_trimodal_ensemble import (  # noqa: E402
    TrimodalEnsembleForVideoClassification,
    TrimodalEnsembleModel,
)
from affecthub.modeling.modeling_trimodal_late_fusion import (  # noqa: E402
    TrimodalLateFusionForVideoClassification,
    TrimodalLateFusionModel,
)
from affecthub.modeling.modeling_unimodal_baseline import (  # noqa: E402
    UnimodalBaselineForVideoClassification,
    UnimodalBaselineModel,
)
from affecthub.processing.feature_extraction_log_mel import LogMelFeatureExtractor  # noqa: E402
from affecthub.processing.processing_trimodal import TrimodalProcessor  # noqa: E402
from affecthub.processing.video_processing_clip_frames import ClipFramesVideoProcessor  # noqa: E402

ARCHITECTURES = (
    (UnimodalBaselineConfig, UnimodalBaselineModel, UnimodalBaselineForVideoClassification),
    (TrimodalLateFusionConfig, TrimodalLateFusionModel, TrimodalLateFusionForVideoClassification),
    (TrimodalEnsembleConfig, TrimodalEnsembleModel, TrimodalEnsembleForVideoClassification),
)
"""Configuration, base model and classifier of each architecture; all three are fed by a `TrimodalProcessor`."""

for _config, _model, _classifier in ARCHITECTURES:
    AutoConfig.register(_config.model_type, _config)
    AutoModel.register(_config, _model)
    AutoModelForVideoClassification.register(_config, _classifier)
    AutoProcessor.register(_config, TrimodalProcessor)
    AutoVideoProcessor.register(_config, ClipFramesVideoProcessor)
    AutoFeatureExtractor.register(_config, LogMelFeatureExtractor)
    # and for those who do not have this package: saving copies the code that these classes need
    _config.register_for_auto_class()
    _model.register_for_auto_class("AutoModel")
    _classifier.register_for_auto_class("AutoModelForVideoClassification")

TrimodalProcessor.register_for_auto_class("AutoProcessor")
ClipFramesVideoProcessor.register_for_auto_class("AutoVideoProcessor")
LogMelFeatureExtractor.register_for_auto_class("AutoFeatureExtractor")
