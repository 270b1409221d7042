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
from transformers import Wav2Vec2FeatureExtractor as _Wav2Vec2FeatureExtractor  # noqa: E402
from transformers.pipelines import PIPELINE_REGISTRY as _PIPELINE_REGISTRY  # noqa: E402

from affecthub.inference.pipeline_affect import TASK as _TASK  # noqa: E402
from affecthub.inference.pipeline_affect import AffectRecognitionPipeline  # noqa: E402
from affecthub.modeling.configuration_audio_visual_fusion import AudioVisualFusionConfig  # noqa: E402
from affecthub.modeling.configuration_frame_cnn import FrameCnnConfig  # noqa: E402
from affecthub.modeling.configuration_frame_resnet import FrameResnetConfig  # noqa: E402
from affecthub.modeling.configuration_frame_vit import FrameVitConfig  # noqa: E402
from affecthub.modeling.configuration_physio_concat import PhysioConcatConfig  # noqa: E402
from affecthub.modeling.configuration_physio_cross_attention import PhysioCrossAttentionConfig  # noqa: E402
from affecthub.modeling.configuration_physio_pretrained_fusion import PhysioPretrainedFusionConfig  # noqa: E402
from affecthub.modeling.configuration_temporal_vit import TemporalVitConfig  # noqa: E402
from affecthub.modeling.configuration_trimodal_ensemble import TrimodalEnsembleConfig  # noqa: E402
from affecthub.modeling.configuration_trimodal_late_fusion import TrimodalLateFusionConfig  # noqa: E402
from affecthub.modeling.configuration_unimodal_baseline import UnimodalBaselineConfig  # noqa: E402
from affecthub.modeling.modeling_audio_visual_fusion import (  # noqa: E402
    AudioVisualFusionForVideoClassification,
    AudioVisualFusionModel,
)
from affecthub.modeling.modeling_frame_cnn import (  # noqa: E402
    FrameCnnForVideoClassification,
    FrameCnnModel,
)
from affecthub.modeling.modeling_frame_resnet import (  # noqa: E402
    FrameResnetForVideoClassification,
    FrameResnetModel,
)
from affecthub.modeling.modeling_frame_vit import (  # noqa: E402
    FrameVitForVideoClassification,
    FrameVitModel,
)
from affecthub.modeling.modeling_physio_concat import (  # noqa: E402
    PhysioConcatForVideoClassification,
    PhysioConcatModel,
)
from affecthub.modeling.modeling_physio_cross_attention import (  # noqa: E402
    PhysioCrossAttentionForVideoClassification,
    PhysioCrossAttentionModel,
)
from affecthub.modeling.modeling_physio_pretrained_fusion import (  # noqa: E402
    PhysioPretrainedFusionForVideoClassification,
    PhysioPretrainedFusionModel,
)
from affecthub.modeling.modeling_temporal_vit import (  # noqa: E402
    TemporalVitForVideoClassification,
    TemporalVitModel,
)
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
from affecthub.processing.feature_extraction_physio import PhysioFeatureExtractor  # noqa: E402
from affecthub.processing.processing_audio_visual import AudioVisualProcessor  # noqa: E402
from affecthub.processing.processing_frame import FrameProcessor  # noqa: E402
from affecthub.processing.processing_physio_video import PhysioVideoProcessor  # noqa: E402
from affecthub.processing.processing_trimodal import TrimodalProcessor  # noqa: E402
from affecthub.processing.video_processing_clip_frames import ClipFramesVideoProcessor  # noqa: E402

UTTERANCE_ARCHITECTURES = (
    (UnimodalBaselineConfig, UnimodalBaselineModel, UnimodalBaselineForVideoClassification),
    (TrimodalLateFusionConfig, TrimodalLateFusionModel, TrimodalLateFusionForVideoClassification),
    (TrimodalEnsembleConfig, TrimodalEnsembleModel, TrimodalEnsembleForVideoClassification),
)
"""Configuration, base model and classifier of each architecture that sees text, audio and video."""

FRAME_ARCHITECTURES = (
    (FrameCnnConfig, FrameCnnModel, FrameCnnForVideoClassification),
    (FrameVitConfig, FrameVitModel, FrameVitForVideoClassification),
    (FrameResnetConfig, FrameResnetModel, FrameResnetForVideoClassification),
    (TemporalVitConfig, TemporalVitModel, TemporalVitForVideoClassification),
)
"""Those that see frames or clips."""

PHYSIO_ARCHITECTURES = (
    (PhysioConcatConfig, PhysioConcatModel, PhysioConcatForVideoClassification),
    (PhysioCrossAttentionConfig, PhysioCrossAttentionModel, PhysioCrossAttentionForVideoClassification),
    (PhysioPretrainedFusionConfig, PhysioPretrainedFusionModel, PhysioPretrainedFusionForVideoClassification),
)
"""Those that see frames and physiological and behavioural features."""

AUDIO_VISUAL_ARCHITECTURES = (
    (AudioVisualFusionConfig, AudioVisualFusionModel, AudioVisualFusionForVideoClassification),
)
"""Those that see frames and the raw waveform."""

ARCHITECTURES = (
    *UTTERANCE_ARCHITECTURES,
    *FRAME_ARCHITECTURES,
    *PHYSIO_ARCHITECTURES,
    *AUDIO_VISUAL_ARCHITECTURES,
)

FAMILIES = (
    (UTTERANCE_ARCHITECTURES, TrimodalProcessor, LogMelFeatureExtractor),
    (FRAME_ARCHITECTURES, FrameProcessor, None),
    (PHYSIO_ARCHITECTURES, PhysioVideoProcessor, PhysioFeatureExtractor),
    (AUDIO_VISUAL_ARCHITECTURES, AudioVisualProcessor, _Wav2Vec2FeatureExtractor),
)
"""Each family, its processor and the feature extractor in it; the video processor is the same everywhere."""

for _architectures, _processor, _extractor in FAMILIES:
    for _config, _model, _classifier in _architectures:
        AutoConfig.register(_config.model_type, _config)
        AutoModel.register(_config, _model)
        AutoModelForVideoClassification.register(_config, _classifier)
        AutoProcessor.register(_config, _processor)
        AutoVideoProcessor.register(_config, ClipFramesVideoProcessor)
        if _extractor is not None:
            AutoFeatureExtractor.register(_config, _extractor)
        # and for those who do not have this package: saving copies the code that these classes need
        _config.register_for_auto_class()
        _model.register_for_auto_class("AutoModel")
        _classifier.register_for_auto_class("AutoModelForVideoClassification")
    _processor.register_for_auto_class("AutoProcessor")

ClipFramesVideoProcessor.register_for_auto_class("AutoVideoProcessor")
LogMelFeatureExtractor.register_for_auto_class("AutoFeatureExtractor")
PhysioFeatureExtractor.register_for_auto_class("AutoFeatureExtractor")

_PIPELINE_REGISTRY.register_pipeline(_TASK, AffectRecognitionPipeline, pt_model=AutoModelForVideoClassification)
