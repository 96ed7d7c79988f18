"""Task 11: new models, Llama 3.2, Qwen2-VL and Qwen3, each proven equal to transformers.

    ./inv python projects/11-new-model/main.py --part 11 --device cpu
    ./inv python projects/11-new-model/main.py --part 11 --set model=DIR prompt="What is in the picture?" image=cat.jpg

The steps, in order: tiny random checkpoints are written as safetensors files (tiny.py) and loaded as any others
(checkpoint.py) into the networks (llama32.py, qwen2_vl.py, qwen3.py); their logits and greedy tokens are held against
those of transformers on the same files (comparison.py, reference.py); and, if you name a model, it answers you
(generation.py).
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")
import matplotlib.pyplot as plt
import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit
import llm
import tiny
from checkpoint import lines_of_code
from comparison import Comparison, compare, equal_sizes, read_reference
from generation import answer
from qwen2_vl import PARTS

HERE = Path(__file__).resolve().parent
TITLES = {"llama32": "Llama 3.2", "qwen2_vl": "Qwen2-VL", "qwen3": "Qwen3"}
ALLOWED = 4 * 2**-24 * (46 + (6 * 96) ** 0.5)  # as project.yaml judges
NOTHING = 1e-8  # where no difference is drawn: less cannot be told in float32


def draw(comparisons: dict[str, Comparison], path: Path) -> None:
    """The greatest difference from transformers at each layer and at each position."""
    figure, (layers, places) = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    for name, found in comparisons.items():
        # Zero has no place on a logarithmic axis.
        layers.plot(np.maximum(found.by_layer, NOTHING), "o-", label=TITLES[name])
        places.plot(np.maximum(found.by_position, NOTHING), ".-", label=TITLES[name])
        places.axvline(len(found.by_position) - tiny.STEPS + 0.5, color="grey", linewidth=0.5, linestyle=":")
    for axes in (layers, places):
        axes.axhline(ALLOWED, color="black", linewidth=1, linestyle="--", label="allowed for logits")
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
    layers.set_xticks(range(len(next(iter(comparisons.values())).by_layer)))
    layers.set(
        title="hidden states", xlabel="layers passed, the last with the norm", ylabel="greatest relative difference"
    )
    places.set(title="logits", xlabel="position; from the cache after the dotted line")
    layers.legend()
    figure.suptitle("Paddle against transformers, float32, tiny random checkpoints")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    program = kit.start(__file__, __doc__)
    p = program.parameters
    chosen = list(TITLES) if p["architecture"] == "all" else [p["architecture"]]
    comparisons: dict[str, Comparison] = {}
    with tempfile.TemporaryDirectory() as folder:
        reference = read_reference(p["reference"], Path(folder))
        print(f"reference: {reference['versions']}, {'stored' if p['reference'] == 'stored' else 'made now'}")
        for name in chosen:
            found, used = compare(name, Path(folder, name), reference)
            comparisons[name] = found
            program.used(*used)
            parts = [HERE.parent / "llm" / part for part in PARTS] if name == "qwen2_vl" else []
            lines = sum(map(lines_of_code, [HERE / f"{name}.py", *parts]))
            print(
                f"{TITLES[name]:10} logits differ by {found.prefill:.1e} in the prompts, {found.decode:.1e} from the "
                f"cache; {found.equal_tokens:.0%} of greedy tokens equal; {lines} lines of code"
            )
            program.metric(f"{name}_same_weights", found.same_weights)
            program.metric(f"{name}_prefill_error", found.prefill)
            program.metric(f"{name}_decode_error", found.decode)
            program.metric(f"{name}_equal_tokens", found.equal_tokens)
            program.metric(f"{name}_lines", lines)
            program.trace(**{f"{name}_logits": found.logits})
        if "qwen2_vl" in chosen:
            program.metric("image_error", comparisons["qwen2_vl"].pixels)
            program.metric("image_sizes_equal", equal_sizes(reference))
            print(
                f"           its images, preprocessed here, differ by {comparisons['qwen2_vl'].pixels:.1e}; the tiny "
                f"model's caption of the first two is noise, as its weights are: {comparisons['qwen2_vl'].tokens[0]}"
            )
    draw(comparisons, program.artefact("differences.png"))
    if p["model"] == "tiny":
        program.metric("answer", "none: random weights say only noise; --set model=DIR names a real checkpoint")
        program.metric("answer_tokens", 0)
        program.metric("tokens_per_second", 0.0)
    else:
        said = answer(Path(p["model"]).expanduser(), p["prompt"], p["image"], p["tokens"])
        program.used(*said.used)
        program.metric("answer", said.text)
        program.metric("answer_tokens", said.tokens)
        program.metric("tokens_per_second", said.tokens_per_second)
        program.artefact("answer.txt").write_text(f"> {p['prompt']}\n\n{said.text}\n", encoding="utf-8")
    program.finish()


if __name__ == "__main__":
    kit.main(main, llm.ModelError)
