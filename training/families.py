"""What the architectures are to a recipe: their classifiers, processors and modalities, by `model_type`."""

from transformers import ProcessorMixin

import affecthub
from affecthub.modeling.base import AffectPreTrainedModel
from affecthub.training.recipe import ModelRecipe

CLASSIFIERS: dict[str, type[AffectPreTrainedModel]] = {
    config.model_type: classifier for config, _, classifier in affecthub.ARCHITECTURES
}

PROCESSORS: dict[str, type[ProcessorMixin]] = {
    config.model_type: processor for architectures, processor, _ in affecthub.FAMILIES for config, *_ in architectures
}

UTTERANCE_TYPES = frozenset(config.model_type for config, *_ in affecthub.UTTERANCE_ARCHITECTURES)
"""The architectures that see utterances; all others see recordings, frame by frame."""


def modalities_of(model: ModelRecipe) -> list[str]:
    """The modalities of a recipe's model: those that it names, or else all that the architecture has.

    Raises:
        ValueError: it names none, or one that the architecture does not have.
    """
    allowed = list(CLASSIFIERS[model.architecture].config_class.allowed_modalities)
    wanted = allowed if model.modalities is None else list(model.modalities)
    if not wanted or not set(wanted) <= set(allowed):
        raise ValueError(f"model.modalities={wanted}: name one or more of {allowed}, or leave it out for all.")
    return [name for name in allowed if name in wanted]
