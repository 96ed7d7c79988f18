"""Write reference.npz: what transformers answers with the tiny checkpoints of tiny.py.

    PYTHON projects/11-new-model/reference.py [FILE]

with a Python that has the packages of docker/locks/bench-inference.in: torch and transformers take gigabytes, and a
machine with an accelerator seldom has room for them beside its Paddle. `--set reference=PYTHON` makes main.py call this
program and compare with what it says on the spot. transformers reads the same files with its own code; nothing of the
networks in this folder takes part.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import tiny
import torch
import transformers
from PIL import Image
from safetensors import safe_open
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

SIZES = [(1, 1), (28, 28), (100, 1), (333, 5000), (4032, 3024), (41, 43), (42, 70), (2000, 11), (56, 97), (1080, 1920)]
MARGIN = 1e-3  # in logits, between the two likeliest tokens: closer ones could be told apart by rounding alone
OFFICIAL = (28, 56 * 56, 28 * 28 * 1280)  # factor, fewest and most pixels of the published models


def shapes(architecture: str, config: transformers.PretrainedConfig) -> dict[str, tuple[int, ...]]:
    """The checkpoint's tensors as transformers itself names and saves them, in the layout of the published files."""
    with tempfile.TemporaryDirectory() as folder:
        network(architecture).from_config(config).save_pretrained(folder)
        with safe_open(Path(folder, "model.safetensors"), "np") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    # Published Qwen2-VL files have visual.* and model.*; transformers' own later layout nests both.
    return {name.replace("model.visual.", "visual.").replace("language_model.", ""): s for name, s in found.items()}


def network(architecture: str) -> type:
    vision = architecture == "qwen2_vl"
    return transformers.AutoModelForImageTextToText if vision else transformers.AutoModelForCausalLM


def answer(architecture: str, folder: Path) -> dict[str, np.ndarray]:
    """Logits and hidden states of the prompts, tokens and logits of greedy decoding, and the weights' SHA-256."""
    config = transformers.AutoConfig.for_model(**tiny.CONFIGS[architecture])
    digest = tiny.write(folder, architecture, shapes(architecture, config), shards=1)
    model, info = network(architecture).from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    model.eval().set_attn_implementation("eager")
    tokens, real = tiny.batch(architecture)
    given = {"input_ids": torch.tensor(tokens), "attention_mask": torch.tensor(real).long()}
    found = {}
    if architecture == "qwen2_vl":
        processor = Qwen2VLImageProcessorPil.from_pretrained(folder)
        seen = processor([Image.fromarray(image) for image in tiny.images()], return_tensors="pt")
        given |= {"mm_token_type_ids": torch.tensor(tokens == tiny.IMAGE).int(), **seen}
        found = {"pixels": seen["pixel_values"].numpy(), "grids": seen["image_grid_thw"].numpy()[:, 1:]}
    places = {} if architecture == "qwen2_vl" else {"position_ids": torch.tensor(real.cumsum(1) - 1).clip(0)}
    with torch.inference_mode():
        prefill = model(**given, **places, output_hidden_states=True)
        decoded = model.generate(
            **given,
            do_sample=False,
            max_new_tokens=tiny.STEPS,
            min_new_tokens=tiny.STEPS,
            eos_token_id=None,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_logits=True,
        )
    logits = torch.stack(decoded.logits, 1)
    likeliest = logits.topk(2).values
    assert (likeliest[..., 0] - likeliest[..., 1]).min() > MARGIN, f"{architecture}: take other prompts in tiny.py"
    found["sha256"] = np.array(digest)
    found["prefill"] = prefill.logits.numpy()[real]  # (all real tokens, V)
    found["states"] = torch.stack(prefill.hidden_states).numpy()[:, real]  # (layers + 1, all real tokens, hidden)
    found["tokens"] = decoded.sequences[:, tokens.shape[1] :].numpy()  # (B, steps)
    found["decode"] = logits.numpy()  # (B, steps, V)
    return found


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("reference.npz")
    found = {"versions": np.array(f"transformers {transformers.__version__}, torch {torch.__version__}")}
    with tempfile.TemporaryDirectory() as folder:
        for architecture in tiny.CONFIGS:
            for name, value in answer(architecture, Path(folder, architecture)).items():
                found[f"{architecture}.{name}"] = value
    found["sizes"] = np.array([(*size, *smart_resize(*size, *OFFICIAL)) for size in SIZES])
    np.savez_compressed(target, **found)
    print(f"{found['versions']}: {target}, {target.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
