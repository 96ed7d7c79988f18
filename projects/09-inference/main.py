"""Task 9: a language model answers, in Paddle's plain operators and so on any device.

    python projects/09-inference/main.py --part 9 --device cpu --set prompt="Name three fruits." tokens=48
    python projects/09-inference/main.py --part 9 --set model=DIR temperature=0.8 top_p=0.95 prompt="Once upon a time"

The steps, in order: the model and its tokenizer from its own files (../llm), the decoder on the device (llama.py),
a check that its greedy answers are token for token those of transformers on the same weights (reference.json), and
the answer to your prompt, printed while it is made (generation.py).
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import paddle

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit
import llm
from generation import Answer, generate
from llama import Llama

HERE = Path(__file__).resolve().parent
MEGABYTE = 1e6
GREEDY = llm.Sampler()


def answer_reference(program: Any, network: Llama, tokenizer: llm.Tokenizer) -> None:
    """Answer the prompts of reference.json greedily, and count the tokens that transformers chose too."""
    expected = json.loads((HERE / "reference.json").read_text(encoding="utf-8"))["answers"]
    equal = total = 0
    for entry in expected:
        prompt = tokenizer.chat(entry["prompt"])
        if prompt != entry["prompt_tokens"]:
            print(f"  the tokenizer reads {entry['prompt']!r} otherwise than transformers' does")
        # A token that ends the answer is not part of it, so the limit is what the reference has.
        found = generate(network, prompt, len(entry["tokens"]), GREEDY, tokenizer.stops).tokens
        same = (
            sum(a == b for a, b in zip(found, entry["tokens"], strict=False)) if prompt == entry["prompt_tokens"] else 0
        )
        equal, total = equal + same, total + len(entry["tokens"])
        print(f"  {same}/{len(entry['tokens'])} tokens equal: {entry['prompt']} → {tokenizer.decode(found)!r}")
        if "capital of France" in entry["prompt"]:
            program.metric("knows_paris", "Paris" in tokenizer.decode(found))
    program.metric("greedy_agreement", equal / total)


def answer_prompt(program: Any, network: Llama, tokenizer: llm.Tokenizer) -> tuple[Answer, str]:
    """Stream the answer to the prompt to the terminal; returns it and its text."""
    p = program.parameters
    sampler = llm.Sampler(p["temperature"], p["top_k"], p["top_p"], program.seed)
    stream = llm.Stream(tokenizer)
    print(f"\n> {p['prompt']}")
    prompt = tokenizer.chat(p["prompt"]) if p["chat"] else tokenizer.encode(p["prompt"])
    answer = generate(
        network,
        prompt,
        p["tokens"],
        sampler,
        tokenizer.stops,
        lambda token: print(stream.add(token), end="", flush=True),
    )
    print(stream.finish() + "\n")
    print(f"  {len(prompt)} tokens in, {len(answer.tokens)} out, ended by: {answer.stopped}")
    return answer, stream.text


def main() -> None:
    program = kit.start(__file__, __doc__)
    p = program.parameters
    started = time.perf_counter()
    model = llm.open_model(p["model"])
    network = Llama(model.config, model.weights)
    program.used(*network.tensors)
    program.metric("load_seconds", time.perf_counter() - started)
    weights = sum(weight.size * weight.element_size() for weight in network.tensors)
    print(f"{model.name}: {model.config.layers} layers, {weights / MEGABYTE:.0f} MB of weights in float32")

    if p["model"] == "smollm2":
        print("greedy answers, against transformers:")
        answer_reference(program, network, model.tokenizer)

    answer, text = answer_prompt(program, network, model.tokenizer)
    if not answer.tokens:
        print("  the model ended its answer at once")
    program.metric("answer", text)
    program.metric("answer_tokens", len(answer.tokens))
    program.metric("time_to_first_token", answer.seconds[0] if answer.tokens else 0.0)
    program.metric("tokens_per_second", answer.tokens_per_second)
    program.metric("weights_megabytes", weights / MEGABYTE)
    program.metric("peak_host_megabytes", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE)
    logits, _ = network.step(paddle.to_tensor([model.tokenizer.chat("Say hello.")]))
    program.used(logits)
    program.trace(logits=logits[0], tokens=answer.tokens)
    program.artefact("answer.txt").write_text(f"> {p['prompt']}\n\n{text}\n", encoding="utf-8")
    program.finish()


if __name__ == "__main__":
    try:
        main()
    except llm.ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
