"""The files that others' programs read: citation, workflows, issue forms, Dockerfile."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml

from affecthub import __version__

from .pages import ROOT

SCHEMAS = {
    "CITATION.cff": "vendor.citation-file-format",
    ".github/workflows/ci.yml": "vendor.github-workflows",
    ".github/ISSUE_TEMPLATE/bug.yml": "vendor.github-issue-forms",
    ".github/ISSUE_TEMPLATE/idea.yml": "vendor.github-issue-forms",
    ".github/ISSUE_TEMPLATE/config.yml": "vendor.github-issue-config",
}


def run(program, *arguments):
    done = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_file_is_as_its_schema_says(name):
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[name], name)


def test_every_form_and_workflow_has_a_schema():
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / ".github").rglob("*.yml")}
    assert found == {name for name in SCHEMAS if name.startswith(".github")}


def test_what_is_cited_is_this_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == __version__


def test_a_workflow_may_read_and_no_more_and_its_actions_are_pinned():
    text = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"} and "secrets." not in text
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all(re.search(r"@v\d+$", step["uses"]) for step in steps if "uses" in step)
    assert [step["run"] for step in steps if "run" in step] == [".ci/run", "python3 run.py types"]


def test_the_image_has_no_fault_that_hadolint_knows_and_no_root():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert int(re.findall(r"^USER (\d+)", text, re.MULTILINE)[-1]) > 0
    if not shutil.which("hadolint", path=f"{sys.prefix}/bin"):
        pytest.skip("hadolint has no wheel for Windows")
    run(f"{sys.prefix}/bin/hadolint", "Dockerfile")


def test_every_package_is_sent_to_the_builder_of_the_image():
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= {line[1:].partition("/")[0] for line in sent if line.startswith("!")}
