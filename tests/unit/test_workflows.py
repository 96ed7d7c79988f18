"""The workflows for people's own CI: what they call is there, and nothing that a stranger sends reaches a shell."""

import re
import shlex

import invoke
import pytest
import yaml

import harness.cli.program  # noqa: F401 before invoke's own, as the entry does
import tasks
from harness.catalogue import entries
from harness.checkout import ROOT
from harness.cli import arguments
from harness.errors import UsageError

COMMANDS = invoke.Collection.from_module(tasks)
VARIABLES = {"$HARDWARE": "cpu", "$TASK": "4", "$STORE": "s3://team/homework", "$REGISTRY": "ghcr.io/a/b"}

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FILES}
STEPS = [
    pytest.param(step, id=f"{name}-{job}-{number}")
    for name, workflow in WORKFLOWS.items()
    for job, described in workflow["jobs"].items()
    for number, step in enumerate(described["steps"])
]


def test_lint_tests_runs_pages_and_images_have_a_workflow():
    assert WORKFLOWS.keys() == {"test", "run", "pages", "images"}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_calls_an_action_of_a_named_version_or_commands_that_are_read(step):
    assert ("run" in step) != ("uses" in step)
    assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "an/action@v1"))
    for line in re.findall(r"\./inv ([^|>\n]+)", step.get("run", "")):
        name, *words = [VARIABLES.get(word, word) for word in shlex.split(line)]
        try:
            arguments.read(COMMANDS[name], words, COMMANDS.task_names)
        except UsageError as error:
            assert "no such folder" in str(error), "a step before makes it"


@pytest.mark.parametrize("step", STEPS)
def test_no_input_is_put_into_a_script(step):
    """An expression in a script is text that the shell reads: inputs go by variables instead."""
    assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_job_ends_and_has_only_the_rights_that_it_names(name):
    workflow = WORKFLOWS[name]
    assert workflow["permissions"]["contents"] == "read"
    assert all(0 < job["timeout-minutes"] <= 360 for job in workflow["jobs"].values())


def test_results_are_kept_of_failed_runs_too():
    steps = WORKFLOWS["run"]["jobs"]["run"]["steps"]
    after = steps[1 + next(number for number, step in enumerate(steps) if "inv run" in step.get("run", "")) :]
    assert after and all("always()" in step["if"] for step in after)


def test_pages_ends_in_the_folder_that_docs_builds():
    steps = WORKFLOWS["pages"]["jobs"]["pages"]["steps"]
    assert any(step.get("with", {}).get("path") == ".cache/site" for step in steps)
    assert "site_dir: .cache/site" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_the_image_of_every_kind_can_be_named():
    """The default is a kind; others are given by hand."""
    inputs = WORKFLOWS["images"][True]["workflow_dispatch"]["inputs"]  # YAML 1.1 reads `on` as true
    assert inputs["hardware"]["default"] in entries.load().hardware
