"""A model that was exported to ONNX, run by onnxruntime in the place of the PyTorch model; it travels with each model.

```
 model inputs -> every input of the graph, a blank where a modality is missing -> onnxruntime -> the model's output
```
"""

import importlib.util
import json
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.modeling_outputs import ModelOutput
from transformers.utils import cached_file

from affecthub.inference.model_check import CHECK_FILE, check_export, facts_of, read_check
from affecthub.inference.shared_frames import digests

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ONNX_FILES = {"onnx": "onnx/model.onnx", "onnx-int8": "onnx/model_int8.onnx"}
"""Backend -> where a model folder carries its graph."""

BACKENDS = ("torch", *ONNX_FILES)

METADATA = "affecthub"
"""Key in the graph's metadata of what `Exported` holds, as JSON."""

TASK_LOGITS = "task_logits."
"""How the outputs of a model with several tasks begin, each followed by the name of its task."""

FRAMES = "frames_"
"""How the inputs begin by which a graph encodes each frame once: `NEW`, `PLACE`, and what was encoded before."""

ENCODED = "encoded."
"""How the outputs begin that say what each frame was encoded to, each followed by what the frame encoder calls it."""

FrameKey = tuple[bytes, bool]
"""Of a frame: the digest of its pixels, and whether its sample holds it."""

NEW = FRAMES + "new"
"""(new,): places of the frames that are to be encoded, of all in order."""

PLACE = FRAMES + "place"
"""(batch, ..., frames): where each frame stands among those that are known, and behind them the new ones."""

DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}

_QUIET = {f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "connection_errors", "gated_repo")}


def need_onnx(*names: str) -> None:
    """ImportError, with the remedy, unless the libraries are there.

    Args:
        names: of modules.
    """
    if missing := [name for name in names if importlib.util.find_spec(name) is None]:
        raise ImportError(
            f"ONNX needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            'pip install "affecthub[onnx]".'
        )


class OnnxModel(nn.Module):
    """Answers as the PyTorch model does that was exported, on the CPU: the pipeline takes either.

    Args:
        path: of the graph.
        config: of the model.
        name_or_path: of the model; its folder, or "owner/name".

    Raises:
        ImportError: onnxruntime is not installed.
        ValueError: the file is cut off, or no graph that this package exported.
    """

    def __init__(self, path: str | Path, config: PreTrainedConfig, name_or_path: str):
        super().__init__()
        need_onnx("onnxruntime")
        path = Path(path)
        self.config, self.name_or_path = config, name_or_path
        self.device, self.dtype = torch.device("cpu"), torch.float32
        try:
            self.session = _session(path)
        except Exception as error:  # onnxruntime's own, each a class of its own
            said = " ".join(str(error).split())
            raise ValueError(f"{path} is broken ({said:.200}); {_make(name_or_path, path.name)}.") from error
        try:
            told = json.loads(self.session.get_modelmeta().custom_metadata_map[METADATA])
            self.weights: dict[str, str] = dict(told["weights"])
            self.modalities: dict[str, list[str]] = dict(told["modalities"])
            self.shapes: dict[str, list[int]] = dict(told["shapes"])
            self.encoded: dict[str, list[int]] = dict(told.get("encoded", {}))
            dtypes = {entry.name: DTYPES[entry.type] for entry in self.session.get_inputs()}
            self.dtypes = {name: dtype for name, dtype in dtypes.items() if not name.startswith(FRAMES)}
        except (LookupError, TypeError, ValueError, RecursionError):
            raise ValueError(
                f"{path}: no graph that this package exported; {_make(name_or_path, path.name)}."
            ) from None
        self.outputs = [entry.name for entry in self.session.get_outputs()]
        self.kept: dict[FrameKey, dict[str, np.ndarray]] = {}
        """Frame -> what its encoder gave in the last call, by output."""

    @classmethod
    def from_pretrained(
        cls, model: str | Path, config: PreTrainedConfig, backend: str = "onnx", revision: str | None = None
    ) -> "OnnxModel":
        """The graph that a model carries.

        Args:
            model: folder, or "owner/name" on the Hub.
            config: of the model.
            backend: "onnx", or "onnx-int8".
            revision: branch, tag or commit on the Hub.

        Raises:
            FileNotFoundError: it carries none.
            ImportError: onnxruntime is not installed.
            ValueError: a backend that there is not; the file is broken, changed, or of other weights.
        """
        if backend not in ONNX_FILES:
            raise ValueError(f"backend={backend!r}: choose one of {', '.join(BACKENDS)}.")
        need_onnx("onnxruntime")
        name = ONNX_FILES[backend]
        found = cached_file(model, name, revision=revision, **_QUIET)
        if found is None:
            raise FileNotFoundError(f"{model}: carries no {name}; {_make(model, name)}.")
        folder = Path(found).parents[1]
        cached_file(model, CHECK_FILE, revision=revision, **_QUIET)
        check_export(folder, name)
        loaded = cls(found, config, str(model))
        if any(_digest(folder, part) not in (None, digest) for part, digest in loaded.weights.items()):
            raise ValueError(f"{found} was exported from other weights than the model's; {_make(model, name)}.")
        return loaded

    def forward(self, output_modality_logits: bool = False, **inputs: Tensor | None) -> ModelOutput:
        """What the model answers.

        Args:
            output_modality_logits: also return what the graph says of each modality alone.
            inputs: as the model's `forward` takes them from its processor; any subset of the modalities, each with all
                that the processor gives of it.

        Returns:
            the fields of the model's own output that an answer needs: logits (batch, labels), task_logits of a model
            with several tasks, and modality_logits and weights where asked for and there.

        Raises:
            ValueError: an input that the graph has not, half a modality, none at all, or shapes that it cannot take.
        """
        feeds = self._feeds({name: value for name, value in inputs.items() if value is not None})
        try:
            keys = self._add_frames(feeds) if self.encoded else []
            values: list[Any] = list(self.session.run(self.outputs, feeds))
        except Exception as error:  # onnxruntime's own, each a class of its own
            shapes = {name: value.shape for name, value in feeds.items()}
            raise ValueError(f"The exported model cannot take inputs of {shapes} ({str(error):.200}).") from error
        given = dict(zip(self.outputs, values, strict=True))
        encoded = {name: given.pop(ENCODED + name) for name in self.encoded}
        self.kept = {key: {name: rows[i] for name, rows in encoded.items()} for i, key in enumerate(keys)}
        found = {name: torch.from_numpy(value) for name, value in given.items()}
        tasks = {
            name.removeprefix(TASK_LOGITS): found.pop(name) for name in self.outputs if name.startswith(TASK_LOGITS)
        }
        if not output_modality_logits:
            found = {"logits": found["logits"]}
        return ModelOutput(**found, **({"task_logits": tasks} if tasks else {}))

    def can_generate(self) -> bool:
        """False: what transformers' pipelines ask."""
        return False

    def _feeds(self, inputs: dict[str, Tensor]) -> dict[str, np.ndarray]:
        """Every input of the graph; of a modality that was not passed zeros, and so absent in every sample."""
        if unknown := sorted(inputs.keys() - self.dtypes.keys()):
            raise ValueError(f"{unknown} passed to an exported model, which takes {sorted(self.dtypes)}.")
        held = Counter(chain(*self.modalities.values()))  # some inputs, such as speakers, go with every modality
        passed = {
            name: given
            for name, given in self.modalities.items()
            if any(each in inputs and held[each] == 1 for each in given)
        }
        if not passed:
            raise ValueError(f"No input: pass one or more of the modalities {list(self.modalities)}.")
        for name, given in passed.items():
            if missing := [each for each in given if each not in inputs]:
                raise ValueError(f"{name} was passed without {missing}: pass all that the processor gives of it.")
        size = len(next(iter(inputs.values())))
        return {
            name: inputs[name].detach().cpu().numpy().astype(dtype, copy=False)
            if name in inputs
            else np.zeros((size, *self.shapes[name]), dtype)
            for name, dtype in self.dtypes.items()
        }

    def _add_frames(self, feeds: dict[str, np.ndarray]) -> list[FrameKey]:
        """Say which frames are to be encoded, and give what the others were encoded to; each frame's key."""
        pixels = torch.from_numpy(feeds["pixel_values_videos"])
        held = feeds["video_present"][..., None] * feeds["video_attention_mask"]  # a frame that is not held is blank
        keys = [*zip(digests(pixels.flatten(0, -4)), held.astype(bool).ravel().tolist(), strict=True)]
        old = [key for key in dict.fromkeys(keys) if key in self.kept]
        new = {key: place for place, key in enumerate(keys) if key not in self.kept} or {keys[0]: 0}
        order = {key: place for place, key in enumerate([*old, *new])}
        feeds[NEW] = np.array([*new.values()])
        feeds[PLACE] = np.array([order[key] for key in keys]).reshape(pixels.shape[:-3])
        for name, shape in self.encoded.items():
            known = [self.kept[key][name] for key in old]
            feeds[FRAMES + name] = np.stack(known) if known else np.zeros((0, *shape), np.float32)
        return keys


def _session(path: Path) -> "InferenceSession":
    """The graph, ready to run, with as many threads as PyTorch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors, which are raised
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _digest(folder: Path, name: str) -> str | None:
    """SHA-256 of a file of weights; where it was not fetched, as `check.json` states it; None: unknown."""
    path = folder / name
    facts = facts_of(path) if path.is_file() else read_check(folder).get("files", {}).get(name, {})
    return facts.get("sha256")


def _make(model: str | Path, name: str) -> str:
    """How a graph is made: in the folder itself, or in a copy of what lies on the Hub."""
    command = f"affecthub export {{}} --to onnx{' --int8' if 'int8' in name else ''}"
    if Path(model).is_dir():
        return f"make it by `{command.format(model)}`"
    return f"make it in a copy: `hf download {model} --local-dir COPY`, then `{command.format('COPY')}`"
