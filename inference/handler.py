"""Inference Endpoints handler of this folder: what a client sends becomes the pipeline's answers.

Request bodies:

- JSON, `{"inputs": "So glad you came!"}`: a text;
- JSON, `{"inputs": {"video": "<base64 of a file>", "audio": "<base64 of a file>", "text": "...", "physio": [...]}}`:
  any of these that the model takes, or a list of such dictionaries and texts;
- of a model that takes turns, in such a dictionary also `"speaker": "..."`, and `"history": [...]` and
  `"following": [...]`: such dictionaries and texts, in order of time;
- the bytes of a video or audio file, by a client or service that hands them on as `{"inputs": bytes}`;
- beside inputs, `"parameters": {"window_seconds": 5, "hop_seconds": 5, "batch_size": 8}`.

A string is a text or base64 and nothing else: no path and no address that a client names is ever opened.

A request that cannot be answered raises ValueError with one sentence, which the service's toolkit answers with status
400 and `{"error": "<the sentence>"}`.
"""

import base64
import binascii
from typing import Any

from transformers import pipeline

PARAMETERS = {"window_seconds", "hop_seconds", "batch_size"}

ENCODED = ("video", "audio")
"""Keys whose values are files."""

TURNS = ("history", "following")
"""Keys whose values are lists of inputs."""

KEYS = (*ENCODED, "text", "physio", "speaker", *TURNS)


class EndpointHandler:
    """Loads the model once, and answers requests.

    Args:
        path: this folder.
    """

    def __init__(self, path: str = ""):
        self.pipeline = pipeline(model=path or ".", trust_remote_code=True)

    def __call__(self, data: dict[str, Any]) -> dict[str, Any] | list[Any]:
        """Answer one request.

        Args:
            data: inputs, and parameters if any; see above.

        Returns:
            The pipeline's answer, calibrated as the model's configuration says; a list of answers for a long
            recording; of a list of inputs a list of these.

        Raises:
            ValueError: a request that is none, or holds nothing that the model takes.
        """
        if not isinstance(data, dict) or "inputs" not in data:
            raise ValueError('The body must be a JSON object with "inputs", or the bytes of a media file.')
        parameters = _checked_parameters(data.get("parameters"))
        inputs = data["inputs"]
        if isinstance(inputs, list):
            if not inputs:
                raise ValueError("inputs: the list is empty.")
            return self.pipeline([_decoded(entry) for entry in inputs], **parameters)
        return self.pipeline(_decoded(inputs), **parameters)


def _checked_parameters(parameters: object) -> dict[str, Any]:
    """Parameters of the pipeline's call; ValueError for any other."""
    if not isinstance(parameters, dict | None):
        raise ValueError("parameters: a JSON object is needed.")
    parameters = parameters or {}
    if unknown := sorted(set(parameters) - PARAMETERS):
        raise ValueError(f"parameters: {unknown} are unknown; there are {sorted(PARAMETERS)}.")
    size = parameters.get("batch_size", 1)
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 256:
        raise ValueError(f"batch_size={size!r}: an integer from 1 to 256 is needed.")
    return parameters


def _decoded(inputs: object) -> bytes | dict[str, Any]:
    """One input without any string that the pipeline could take for a path or an address."""
    if isinstance(inputs, str):
        return {"text": inputs}
    if isinstance(inputs, bytes | bytearray):
        return bytes(inputs)
    if not isinstance(inputs, dict):
        raise ValueError(f"inputs: a text or an object with any of {list(KEYS)} is needed; got {inputs!r:.60}.")
    if unknown := [key for key in inputs if key not in KEYS]:
        raise ValueError(f"inputs: {unknown} are unknown; there are {list(KEYS)}.")
    found = {key: _file(key, value) if key in ENCODED else value for key, value in inputs.items()}
    for key in TURNS:
        if isinstance(found.get(key), list):
            found[key] = [_decoded(turn) for turn in found[key]]
    return found


def _file(key: str, value: object) -> bytes | None:
    """The bytes of a file that was sent as base64, or as they are."""
    if value is None or isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError(f"inputs: {key} must be the base64 of a media file; got {value!r:.60}.")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"inputs: {key} is no base64 of a media file ({error}).") from error
