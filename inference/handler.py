"""Inference Endpoints handler of this folder: what a client sends becomes the pipeline's answers.

Request bodies:

- JSON, `{"inputs": "So glad you came!"}`: a text;
- JSON, `{"inputs": {"video": "<base64 of a file>", "audio": "<base64 of a file>", "text": "...", "physio": [...]}}`:
  any of these that the model takes, or a list of such dictionaries and texts;
- of a model that takes turns, in such a dictionary also `"speaker": "..."`, and `"history": [...]` and
  `"following": [...]`: such dictionaries and texts, in order of time;
- the bytes of a video or audio file, by a client or service that hands them on as `{"inputs": bytes}`;
- beside inputs, `"parameters": {"window_seconds": 5, "hop_seconds": 5, "batch_size": 8, "strict": true}`: strict
  makes a recording that is not whole an error, where its answer has a warning otherwise.

A string is a text or base64 and nothing else: no path and no address that a client names is ever opened.

A request that cannot be answered raises ValueError with one sentence, which the service's toolkit answers with status
400 and `{"error": "<the sentence>"}`. How much a request may hold and cost is limited; the environment variable
AFFECTHUB_MEDIA_LIMITS changes that, as in "body_bytes=1e9,work_seconds=300". AFFECTHUB_BACKEND=onnx, or onnx-int8,
lets onnxruntime answer, where the folder carries an export.
"""

import base64
import binascii
import os
from typing import Any, cast

from transformers import pipeline

PARAMETERS = ("window_seconds", "hop_seconds", "batch_size", "strict")

WORK_SECONDS = 120.0
"""s that an input may take, unless AFFECTHUB_MEDIA_LIMITS says otherwise."""

ENCODED = ("video", "audio")
"""Keys whose values are files."""

TURNS = ("history", "following")
"""Keys whose values are lists of inputs."""

KEYS = (*ENCODED, "text", "physio", "speaker", *TURNS)


class EndpointHandler:
    """Loads the model once, and answers requests.

    Args:
        path: this folder.

    Raises:
        OSError, ValueError: it lacks a file, or one is broken.
    """

    def __init__(self, path: str = ""):
        try:
            backend = os.environ.get("AFFECTHUB_BACKEND", "torch")
            loaded = pipeline(task=None, model=path or ".", trust_remote_code=True, backend=backend)
            self.pipeline = cast(Any, loaded)  # of the folder's own class
        except (OSError, ImportError, ValueError):
            raise
        except Exception as error:  # whatever a library says of a broken file
            raise ValueError(
                f"{path or '.'} holds no model that can be loaded ({error!r:.400}): save it again."
            ) from error
        told = os.environ.get("AFFECTHUB_MEDIA_LIMITS", "")
        self.limits = self.pipeline.limits_of(None if "work_seconds" in told else {"work_seconds": WORK_SECONDS})

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
        self._check_size(data)
        parameters = _checked_parameters(data.get("parameters")) | {"limits": self.limits}
        inputs = data["inputs"]
        if isinstance(inputs, list):
            if not inputs:
                raise ValueError("inputs: the list is empty.")
            return self.pipeline([_decoded(entry) for entry in inputs], **parameters)
        return self.pipeline(_decoded(inputs), **parameters)

    def _check_size(self, data: dict[str, Any]) -> None:
        """ValueError for a body that is nested too deeply, or holds too many inputs or bytes; files may be base64."""
        todo, held = [(data, 0)], 0
        while todo:
            value, depth = todo.pop()
            if depth > self.limits.depth:
                raise ValueError(f"The body is nested more than {self.limits.depth} levels deep (limit depth).")
            if isinstance(value, dict):
                todo += [(entry, depth + 1) for entry in value.values()]
                held += sum(len(value[key]) * 3 // 4 for key in ENCODED if isinstance(value.get(key), str))
                for key in ("inputs", *TURNS):
                    if isinstance(value.get(key), list) and len(value[key]) > self.limits.inputs:
                        raise ValueError(f"{key}: more than {self.limits.inputs} in one request (limit inputs).")
            elif isinstance(value, list):
                todo += [(entry, depth + 1) for entry in value if isinstance(entry, list | dict | bytes | bytearray)]
            elif isinstance(value, bytes | bytearray):
                held += len(value)
        if held > self.limits.body_bytes:
            raise ValueError(f"The body holds files of {held:,} bytes; {self.limits.body_bytes:,} are taken at most.")


def _checked_parameters(parameters: object) -> dict[str, Any]:
    """Parameters of the pipeline's call; ValueError for any other."""
    if not isinstance(parameters, dict | None):
        raise ValueError("parameters: a JSON object is needed.")
    parameters = parameters or {}
    if unknown := [key for key in parameters if key not in PARAMETERS]:
        raise ValueError(f"parameters: {unknown!r:.200} are unknown; there are {list(PARAMETERS)}.")
    size = parameters.get("batch_size", 1)
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 256:
        raise ValueError(f"batch_size={size!r:.60}: an integer from 1 to 256 is needed.")
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
        raise ValueError(f"inputs: {unknown!r:.200} are unknown; there are {list(KEYS)}.")
    found = {key: _file(key, value) if key in ENCODED else value for key, value in inputs.items()}
    for key in TURNS:
        if isinstance(turns := found.get(key), list):
            found[key] = [_decoded(turn) for turn in turns]
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
