"""The commands as a person types them, each in a process of its own, on a checkout whose only project is the toy."""

import json
import os
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


def test_the_command_of_a_dry_run_can_be_pasted_and_runs(checkout: Checkout, tmp_path: Path) -> None:
    done = checkout("run", "--task", "1", "--dry-run")
    (command,) = [line for line in done.stdout.splitlines() if "main.py --part 1" in line]
    ran = subprocess.run(["sh", "-e"], input=command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0 and (tmp_path / "OUT" / "metrics.json").is_file(), ran.stderr


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
    assert document["schema"] == 2 and document["points"]["earned"] == 3 and document["points"]["limit"] == 7
    earned = [cell for cell in document["cells"] if cell["state"] == "earned"]
    assert [(cell["part"], cell["hardware"], cell["points"], cell["limit"]) for cell in earned] == [("1", "cpu", 3, 3)]
    assert {"part", "hardware", "model", "state", "points", "limit", "why", "run", "paddle"} == set(earned[0])


def test_explain_says_why_a_cell_does_not_count(checkout: Checkout) -> None:
    ended = checkout("run", "--set", "mode=crash")
    assert ended.returncode == 1, ended.stdout + ended.stderr
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
    names = ("run", "matrix", "tasks", "hardware", "doctor", "show", "verify", "attach", "detach", "pack", "test")
    for name in (*names, "lint", "bench", "reproduce", "compare", "reference", "report", "serve", "docs", "jobs"):
        text = checkout(name, "--help").stdout
        assert "Examples:" in text and f"./inv {name}" in text


def test_completion_knows_commands_options_and_values(checkout: Checkout) -> None:
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


def test_evidence_is_attached_packed_verified_and_taken_back(checkout: Checkout, tmp_path: Path) -> None:
    checkout("run")
    (record,) = checkout.records()
    assert {"screen.png", "statement.json"} <= set(record["artefacts"]) and record["screen"]["file"] == "screen.png"
    done = checkout(
        "attach", "--task", "1", "--note", "two of them", "https://example.org/?a", "https://example.org/?b"
    )
    assert done.returncode == 0 and done.stdout.count("✓ attached") == 2, done.stderr
    first = checkout("attach").stdout.split()[0]
    assert checkout("detach", first).returncode == 0 and checkout("detach", first).returncode == 2
    pack = str(tmp_path / "pack.zip")
    assert checkout("pack", "--task", "1", "--to", pack).returncode == 0
    assert "1 record, 1 attachment verified" in checkout("verify", pack).stdout
    assert "Whole: 3 attachments." in checkout("verify").stdout
    (tmp_path / "pack.zip").write_bytes(b"no zip")
    refused = checkout("verify", pack)
    assert refused.returncode == 6 and "refused" in refused.stderr and "Traceback" not in refused.stderr


def test_a_secret_that_a_program_prints_reaches_neither_terminal_nor_record(checkout: Checkout) -> None:
    program = checkout.folder / "projects" / "01-toy" / "main.py"
    program.write_text('import os\nprint("I know", os.environ["AISTUDIO_TOKEN"])\n' + program.read_text())
    done = checkout("run", "-v", env={**os.environ, "AISTUDIO_TOKEN": "hush-hush-hush"})
    assert done.returncode == 0 and "I know [redacted]" in done.stdout
    files = [path for path in checkout.results.rglob("*") if path.is_file()]
    assert files and not any(b"hush-hush" in path.read_bytes() for path in files)


def test_records_are_signed_by_the_key_that_is_named(checkout: Checkout, tmp_path: Path) -> None:
    key, signers = tmp_path / "key", tmp_path / "signers"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    signers.write_text(f"anna@example.org {key.with_suffix('.pub').read_text()}")
    assert checkout("run", "--sign", str(key)).returncode == 0
    assert checkout("verify", "--signers", str(signers), "latest").returncode == 0
    checkout("run")
    assert checkout("verify", "--signers", str(signers), "latest").returncode == 6
    assert checkout("run", "--sign", str(tmp_path / "none")).returncode == 2
