"""The suite runs offline, whatever the user's shell says: set before any library reads it."""

import atexit
import os
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")
if "AFFECTHUB_CACHE" not in os.environ:  # nothing goes to the user's; worker processes inherit the folder
    os.environ["AFFECTHUB_CACHE"] = tempfile.mkdtemp(prefix="affecthub-tests-")
    atexit.register(shutil.rmtree, os.environ["AFFECTHUB_CACHE"], ignore_errors=True)
