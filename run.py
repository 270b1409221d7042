"""Set everything up and run: `python3 run.py` trains the quick start, `python3 run.py test` runs the tests.

Needs Python 3.11 to 3.13 and pip, and nothing else: it makes `.venv` beside itself, installs the project into it and
passes on what follows the command, for example `python3 run.py train --recipe meld_text --data.root=PATH`.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
BIN = ROOT / ".venv" / ("Scripts" if os.name == "nt" else "bin")
ACCELERATE = ["accelerate", "launch", "--config_file", "accelerate_config.yaml", "train.py"]
COMMANDS = {
    "quickstart": [[*ACCELERATE, "--recipe", "quickstart"]],
    "train": [ACCELERATE],
    "test": [["python", "-m", "pytest", "-n", "2", "--dist", "loadfile"]],
    "lint": [["ruff", "check", "."], ["ruff", "format", "--check", "."]],
    "types": [["pyright"]],
    "docs": [["mkdocs", "build", "--strict"]],
    "setup": [],
}
"""What each runs, one after the other until one fails."""


def main() -> int:
    """Install what is missing, then run the command; returns the exit status of what failed, or 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", choices=COMMANDS, default="quickstart")
    options, passed_on = parser.parse_known_args()
    if not (3, 11) <= sys.version_info < (3, 14):
        parser.exit(2, f"affecthub needs Python 3.11 to 3.13; this is {sys.version.split()[0]}\n")
    set_up()
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(BIN.parent)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # uncompiled, the libraries take three times as long to import
    commands = ([str(BIN / program), *arguments, *passed_on] for program, *arguments in COMMANDS[options.command])
    statuses = (subprocess.call(command, cwd=ROOT, env=environment) for command in commands)
    return next((status for status in statuses if status), 0)


def set_up() -> None:
    """Make `.venv` with uv, which pip brings, and install the project into it; seconds when nothing has changed."""
    tools = ROOT / ".bootstrap"
    if not (tools / "uv").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--quiet", "--target", str(tools)]
        subprocess.check_call([*pip, "uv"])
    uv = [sys.executable, "-m", "uv"]
    environment = os.environ | {"PYTHONPATH": str(tools)}
    if not BIN.is_dir():
        subprocess.check_call([*uv, "venv", "--quiet", "--python", sys.executable, str(BIN.parent)], env=environment)
    install = [*uv, "pip", "install", "--quiet", "--python", str(BIN / "python"), "--editable", ".[dev]"]
    subprocess.check_call(install, cwd=ROOT, env=environment)


if __name__ == "__main__":
    raise SystemExit(main())
