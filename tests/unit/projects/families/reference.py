"""Write reference.npz: what transformers and llama.cpp answer for the tiny models of cases.py.

    PYTHON tests/unit/projects/families/reference.py [FILE]

with a Python that has the packages of docker/locks/bench-inference.in. transformers reads the same files with its own
code; nothing of this project's takes part but cases.py.
"""

import json
import sys
import tempfile
from pathlib import Path

import cases
import numpy as np
import torch
import transformers
from safetensors import safe_open

MARGIN = 2e-4  # in logits, between the two likeliest tokens: closer ones could be told apart by rounding alone


def shapes(config: transformers.PretrainedConfig) -> dict[str, tuple[int, ...]]:
    """The checkpoint's tensors as transformers itself names and saves them."""
    with tempfile.TemporaryDirectory() as folder:
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        with safe_open(Path(folder, "model.safetensors"), "np") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def answer(case: str, folder: Path) -> dict[str, np.ndarray]:
    """Logits of the prompts' last tokens, and tokens and logits of greedy decoding."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(cases.CASES[case]))
    found = shapes(transformers.AutoConfig.from_pretrained(folder))
    cases.write_folder(folder, cases.CASES[case], found)
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, attn_implementation="eager"
    )
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    tokens, real = cases.prompts()
    given = {"input_ids": torch.tensor(tokens), "attention_mask": torch.tensor(real).long()}
    with torch.inference_mode():
        prefill = model.eval()(**given, position_ids=torch.tensor(real.cumsum(1) - 1).clip(0)).logits.numpy()
        decoded = model.generate(
            **given,
            do_sample=False,
            max_new_tokens=cases.STEPS,
            min_new_tokens=cases.STEPS,
            eos_token_id=None,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_logits=True,
        )
    logits = torch.stack(decoded.logits, 1)
    likeliest = logits.topk(2).values
    margin = (likeliest[..., 0] - likeliest[..., 1]).min()
    print(f"{case}: margin {margin:.1e}, logits {logits.abs().max():.2f}", flush=True)
    assert margin > MARGIN, f"{case}: take other prompts in cases.py"
    return {
        "shapes": np.array(json.dumps(found)),
        "prefill": prefill[real][:: cases.STRIDE],  # (some real tokens, V)
        "tokens": decoded.sequences[:, tokens.shape[1] :].numpy(),  # (B, steps)
        "decode": logits.numpy(),  # (B, steps, V)
    }


def main() -> None:
    transformers.utils.logging.disable_progress_bar()
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("reference.npz")
    found = {"versions": np.array(f"transformers {transformers.__version__}, torch {torch.__version__}")}
    with tempfile.TemporaryDirectory() as folder:
        for case in cases.CASES:
            for name, value in answer(case, Path(folder, case)).items():
                found[f"{case}.{name}"] = value
    np.savez_compressed(target, **found)
    print(f"{found['versions']}: {target}, {target.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
