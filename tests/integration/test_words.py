"""The words as a person types them, each in a process of its own, on a checkout whose only project is the toy."""

import json
import subprocess
from pathlib import Path

from checkouts import Checkout


def test_run_leaves_a_sealed_record_and_ends_with_the_matrix(checkout: Checkout) -> None:
    done = checkout("run")
    assert done.returncode == 0, done.stderr
    assert "✓ passed" in done.stdout
    assert "3 points earned of 7" in done.stdout
    (record,) = checkout.records()
    assert record["cell"] == {"part": "1", "hardware": "cpu"}
    assert record["passed"] and record["metrics"] == {"error": 0.01}
    assert record["environment"]["MALLOC_TOP_PAD_"] == "1073741824"
    assert checkout("verify").returncode == 0


def test_the_records_paths_are_the_last_line_of_json(checkout: Checkout) -> None:
    last = checkout("run", "--format", "json").stdout.splitlines()[-1]
    (path,) = json.loads(last)
    assert json.loads(Path(path).read_text())["passed"]


def test_a_dry_run_prints_command_and_reason_and_leaves_nothing(checkout: Checkout) -> None:
    done = checkout("run", "--task", "all", "--dry-run", "--set", "size=4")
    assert done.returncode == 0, done.stderr
    assert "projects/01-toy/main.py --part 1 --device cpu" in done.stdout and "size=4" in done.stdout
    assert "left out: its program is not written yet" in done.stdout
    assert not checkout.results.exists()


def test_settings_and_profile_reach_the_record(checkout: Checkout) -> None:
    checkout("run", "--task", "toy", "--profile", "full", "--seed", "7")
    checkout("run", "--task", "1", "--profile", "full", "--set", "size=2")
    first, second = checkout.records()
    assert first["parameters"]["size"] == 9 and first["seed"] == 7
    assert second["parameters"]["size"] == 2


def test_every_format_of_the_matrix_says_the_same(checkout: Checkout) -> None:
    checkout("run")
    table, markdown, page = (checkout("matrix", "--format", form).stdout for form in ("table", "markdown", "html"))
    assert all("3 points earned of 7" in text for text in (table, markdown, page))
    document = json.loads(checkout("matrix", "--format", "json").stdout)
    assert document["schema"] == 1 and document["points"]["earned"] == 3 and document["points"]["limit"] == 7
    earned = [cell for cell in document["cells"] if cell["state"] == "earned"]
    assert [(cell["part"], cell["hardware"], cell["points"], cell["limit"]) for cell in earned] == [("1", "cpu", 3, 3)]
    assert {"part", "hardware", "model", "state", "points", "limit", "why", "run"} == set(earned[0])


def test_explain_says_why_a_cell_does_not_count(checkout: Checkout) -> None:
    checkout("run", "--set", "mode=crash")
    assert "1 on cpu" in (text := checkout("matrix", "--explain").stdout) and "failed" in text
    assert "2 on cpu: not run; its program is not written yet" in text


def test_show_takes_latest_a_prefix_and_json(checkout: Checkout) -> None:
    checkout("run")
    (record,) = checkout.records()
    assert record["id"] in checkout("show").stdout
    assert json.loads(checkout("show", record["id"][:12], "--format", "json").stdout) == record


def test_tasks_hardware_and_doctor_answer(checkout: Checkout) -> None:
    assert "not written yet" in checkout("tasks").stdout
    assert "integer, at least 1, at most 9" in checkout("tasks", "--task", "1").stdout
    kinds = checkout("hardware").stdout
    assert all(kind in kinds for kind in ("cpu", "cuda", "ascend", "kunlun", "cambricon", "hygon", "enflame"))
    assert "NPU_VISIBLE_DEVICES" in checkout("hardware", "--hw", "npu").stdout
    assert "Python" in checkout("doctor").stdout
    absent = checkout("doctor", "--hw", "ascend")
    assert absent.returncode == 3 and "npu-smi: not on PATH" in absent.stdout


def test_help_teaches_with_examples(checkout: Checkout) -> None:
    assert "Start with" in checkout("--help").stdout == checkout().stdout
    words = ("run", "matrix", "tasks", "hardware", "doctor", "show", "verify", "test", "lint", "bench")
    for word in (*words, "reproduce", "compare", "reference", "report"):
        text = checkout(word, "--help").stdout
        assert "Examples:" in text and f"./inv {word}" in text


def test_completion_knows_words_options_and_values(checkout: Checkout) -> None:
    def after(*words: str) -> list[str]:
        return checkout("--complete", "--", *words).stdout.split()

    assert {"run", "matrix", "verify"} <= set(after(""))
    assert {"--task", "--hw", "--set"} <= set(after("run", "--"))
    assert {"npu", "cuda", "auto"} <= set(after("run", "--hw", ""))
    assert {"1", "2", "toy", "all"} <= set(after("run", "--task", ""))
    assert "1,2" in after("run", "--task", "1,")
    for shell in ("bash", "zsh", "fish"):
        assert "--complete" in checkout("--print-completion-script", shell).stdout


def test_it_can_be_called_from_anywhere_and_through_a_link(checkout: Checkout) -> None:
    (checkout.folder.parent / "tasks.py").write_text("raise SystemExit('the wrong tasks.py')")
    link = checkout.folder.parent / "homework"
    link.symlink_to(checkout.folder / "inv")
    done = subprocess.run([link, "tasks"], cwd=checkout.folder.parent, capture_output=True, text=True)
    assert done.returncode == 0 and "Not written" in done.stdout
