"""What bad input raises, in one list for the command line, train.py and the page."""

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

FAULTS = (OSError, ValueError, ImportError, SafetensorError, StrictDataclassError)
"""Each comes with a sentence for its user. Anything else is a defect."""


def sentence_of(error: Exception) -> str:
    """What an error says, in one line; the kind of one that says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
