"""Task 9: a language model answers, in Paddle's plain operators and so on any device.

    ./inv python projects/09-inference/main.py --part 9 --device cpu --set prompt="Name three fruits." tokens=48
    ./inv python projects/09-inference/main.py --part 9 --set model=DIR temperature=0.8 prompt="Once upon a time"

The steps, in order: the model and its tokenizer from its own files (../llm), the decoder on the device
(../llm/decoder.py), the answer to your prompt, printed while it is made (generation.py), and how right the decoder is:
its logits against float64, its greedy answers against those of transformers on the same weights (accuracy.py).
"""

import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import accuracy
import kit
import llm
from generation import Answer, generate
from llm.decoder import Llama

MEGABYTE = 1e6
TEXT = """A program that reads can be asked for nothing at all: it takes in a text of some length, piece by piece, and
what it expects behind each word is compared with the same numbers, computed more exactly. Any text would do for this,
as long as it is neither short nor strange; this one speaks of itself, so that nobody has to look for its author."""


def answer_prompt(program: Any, network: Llama, tokenizer: llm.Tokenizer) -> tuple[Answer, str]:
    """Stream the answer to the prompt to the terminal; returns it and its text."""
    p = program.parameters
    sampler = llm.Sampler(p["temperature"], p["top_k"], p["top_p"], program.seed)
    print(f"\n> {p['prompt']}")
    prompt = tokenizer.chat(p["prompt"]) if p["chat"] else tokenizer.encode_raw(p["prompt"])
    stream = llm.Stream(tokenizer, prompt)
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
    if not answer.tokens:
        print("  the model ended its answer at once")
    return answer, stream.text


def measure_accuracy(program: Any, network: Llama, model: llm.Model) -> None:
    """Note how right the decoder is, and trace the logits that say so."""
    found = accuracy.accuracy(network, model, model.tokenizer.encode(TEXT))
    print(f"logits are {found.error:.1e} from float64, relatively; numpy in float32 is {found.rounding:.1e} from it")
    program.metric("logit_error", found.error)
    program.metric("rounding_error", found.rounding)
    program.trace(logits=found.logits[-1])
    if program.parameters["model"] == "smollm2":
        print("greedy answers, against transformers:")
        answers, margin = accuracy.reference()
        share, texts = accuracy.agreement(network, model.tokenizer, answers)
        program.metric("greedy_agreement", share)
        program.metric("logit_difference", found.difference)
        program.metric("reference_margin", margin)
        program.metric("knows_paris", any("Paris" in words for words in texts))


def main() -> None:
    program = kit.start(__file__, __doc__)
    p = program.parameters
    started = time.perf_counter()
    model = llm.open_model(p["model"])
    network = Llama(model.config, model.weights)
    program.used(network)
    program.metric("load_seconds", time.perf_counter() - started)
    weights = sum(weight.size * weight.element_size() for weight in network.buffers())
    print(f"{model.name}: {model.config.layers} layers, {weights / MEGABYTE:.0f} MB of weights in float32")

    answer, text = answer_prompt(program, network, model.tokenizer)
    program.metric("answer", text)
    program.metric("answer_tokens", len(answer.tokens))
    program.metric("time_to_first_token", answer.seconds[0] if answer.tokens else 0.0)
    program.metric("tokens_per_second", answer.tokens_per_second)
    program.metric("weights_megabytes", weights / MEGABYTE)
    program.artefact("answer.txt").write_text(f"> {p['prompt']}\n\n{text}\n", encoding="utf-8")

    measure_accuracy(program, network, model)
    program.metric("peak_host_megabytes", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE)
    program.finish()


if __name__ == "__main__":
    kit.main(main, llm.ModelError)
