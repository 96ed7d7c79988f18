"""./inv serve asked by the clients that people have, each in its own ways: see clients.py and npm/clients.mjs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.checkout import ROOT
from harness.environments import stacks

sys.path.append(str(ROOT / "tests" / "unit" / "projects"))
sys.path.append(str(ROOT / "projects"))
HERE = Path(__file__).parent
CLIENTS = HERE / "clients.py"
NAMES = re.findall(r"^def of_(\w+)", CLIENTS.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model of random weights, of which no token that JSON is made of ends an answer."""
    from test_engine import SETTINGS
    from test_llm import write_folder

    folder = tmp_path_factory.mktemp("served") / "tiny"
    settings = {**SETTINGS, "max_position_embeddings": 4096}
    write_folder(folder, settings)
    (folder / "config.json").write_text(json.dumps({**settings, "eos_token_id": 200}))
    return folder


@pytest.fixture(scope="module")
def server(folder):
    from test_serving import running

    with running(folder, "--weights", "float32", "--cache", "float32") as process:
        yield process


def run(*words, cwd=None):
    """What a program printed, which nothing but this machine can answer."""
    alone = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    alone |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cwd or "")}
    command = [str(word) for word in words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=alone, cwd=cwd)


def program(stack, name):
    return stacks.prepare(stacks.stack(stack)).python.with_name(name)


@pytest.fixture(scope="module")
def said(server):
    """What clients.py printed: what the model says is held by grammars alone."""
    done = run(program("clients", "python"), "-W", "ignore", CLIENTS, server.address, "tiny")
    return done.stdout + done.stderr


@pytest.mark.parametrize("client", NAMES)
def test_a_client_is_answered_in_its_own_ways(said, client):
    assert f"passed: {client}\n" in said, said[-3000:]


def test_openais_client_for_javascript(server, tmp_path):
    if not (npm := shutil.which("npm")):
        pytest.skip("there is no npm")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    if int(version.lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"the client is for Node.js 20 and later, here is {version}")
    for file in (HERE / "npm").glob("*.*"):
        shutil.copy(file, tmp_path)
    words = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")
    installed = subprocess.run([npm, *words], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    if "network" in installed.stderr:
        pytest.skip(f"npm reaches no registry: {installed.stderr[-300:]}")
    assert installed.returncode == 0, installed.stderr
    done = run("node", "clients.mjs", server.address, "tiny", cwd=tmp_path)
    assert done.stdout == "passed\n", done.stderr[-3000:]


CAPITALS = {"France": "Paris", "Norway": "Oslo", "Italy": "Rome", "Cuba": "Havana"}
TASK = {
    "task": "capitals",
    "dataset_path": "json",
    "output_type": "multiple_choice",
    "test_split": "test",
    "doc_to_text": "The capital of {{country}} is",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "answer",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}


def test_lm_eval_scores_multiple_choice_as_the_model_itself_does(server, folder, tmp_path):
    choices = list(CAPITALS.values())
    rows = [{"country": each, "choices": choices, "answer": n} for n, each in enumerate(CAPITALS)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {**TASK, "dataset_kwargs": {"data_files": {"test": str(tmp_path / "rows.jsonl")}}}
    (tmp_path / "capitals.yaml").write_text(json.dumps(task))
    model = f"base_url={server.address}/completions,model=tiny,tokenizer={folder},num_concurrent=2"
    words = ("run", "--model", "local-completions", "--model_args", model, "--tasks", "capitals")
    more = ("--include_path", tmp_path, "--output_path", tmp_path / "out", "--log_samples")
    done = run(program("clients-bench", "lm-eval"), *words, *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    (samples,), (results,) = (tmp_path.glob(f"out/*/{name}_*") for name in ("samples", "results"))
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    right = 0
    for row in sorted(rows, key=lambda row: row["doc_id"]):
        found = [float(score) for ((score, _),) in row["resps"]]
        context = f"The capital of {row['doc']['country']} is"
        expected = [log_probability(folder, context, f" {choice}") for choice in choices]
        assert found == pytest.approx(expected, abs=1e-3)
        right += expected.index(max(expected)) == row["doc"]["answer"]
    assert json.loads(results.read_text())["results"]["capitals"]["acc,none"] == right / len(CAPITALS)


def log_probability(folder, context, answer):
    """Of the answer behind the context, in float64 by numpy."""
    import llm
    import numpy as np
    from llm import exact

    model = llm.open_model(str(folder))
    before, tokens = model.tokenizer.encode(context), model.tokenizer.encode(context + answer)
    logits = exact.logits(model.config, model.weights, np.array(tokens))
    shares = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return sum(shares[n - 1, tokens[n]] for n in range(len(before), len(tokens)))


def test_guidellm_measures_it(server, folder, tmp_path):
    texts = ["The sea is", "A cat sleeps on", "Prices rose in"]
    data, report = tmp_path / "data.jsonl", tmp_path / "report.json"
    data.write_text("".join(json.dumps({"prompt": text, "output_tokens_count": 8}) + "\n" for text in texts))
    words = ("benchmark", "run", "--target", server.address.removesuffix("/v1"), "--model", "tiny", "--data", data)
    words += ("--rate-type", "concurrent", "--rate", "2", "--max-requests", "6", "--processor", folder)
    done = run(program("clients-bench", "guidellm"), *words, "--output-path", report, cwd=tmp_path)
    assert report.is_file(), done.stdout[-2000:] + done.stderr[-2000:]
    (benchmark,) = json.loads(report.read_text())["benchmarks"]
    assert benchmark["request_totals"] == {"successful": 6, "errored": 0, "incomplete": 0, "total": 6}
    for request in benchmark["requests"]["successful"]:
        assert request["prompt_tokens"] == len(request["prompt"]) and request["output_tokens"] == 8  # a byte each
        assert 0 < request["time_to_first_token_ms"] / 1e3 < request["request_latency"]
