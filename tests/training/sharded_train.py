"""train.py on CPUs that pass for GPUs: accelerate divides a model among the processes of GPUs alone.

Everything else is as it is there: FSDP2 of torch, by the configuration that the launch reads, over gloo.
"""

import os
import runpy
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import DistributedType

from affecthub.training import launch
from affecthub.training import trainer as run
from affecthub.training.phases import PhaseCallback

os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
launch.runs_on_cpu = run.runs_on_cpu = lambda: False
PartialState._prepare_backend = lambda *arguments: ("gloo", DistributedType.MULTI_GPU)


class Interrupted(PhaseCallback):
    """Ends the second process before the second epoch; the first one is left waiting."""

    def on_epoch_begin(self, args, state, control, **kwargs):
        """As the base class until then."""
        if state.epoch and args.process_index == 1:
            raise ValueError("interrupted")
        super().on_epoch_begin(args, state, control, **kwargs)


if os.environ.get("INTERRUPT"):
    run.PhaseCallback = Interrupted
runpy.run_path(str(Path(__file__).resolve().parents[2] / "train.py"), run_name="__main__")
