"""What a run was made by: system, hardware and the version of every package that is installed."""

import json
import os
import platform
from importlib.metadata import distributions
from pathlib import Path

import torch

from affecthub.evaluation.runs import ENVIRONMENT_FILE, Environment
from affecthub.media.files import write_file


def environment() -> Environment:
    """System, hardware, threads, and package -> version; nothing that names the machine or its user."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": None if accelerator is None else accelerator.type,
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
        "packages": dict(sorted({found.name.lower(): found.version for found in distributions()}.items())),
    }


def hardware() -> str:
    """What a model runs on here, in words."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return f"{platform.machine()} {'CPU' if accelerator is None else accelerator.type}"


def write_environment(folder: Path) -> None:
    """Write `environment.json` into a run's folder, whole or not at all."""
    write_file(folder / ENVIRONMENT_FILE, (json.dumps(environment(), indent=2) + "\n").encode())
