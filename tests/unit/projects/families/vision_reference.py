"""Write vision_reference.npz: what transformers answers for the tiny models of vision_cases.py.

    PYTHON tests/unit/projects/families/vision_reference.py [FILE]

with a Python that has the packages of docker/locks/bench-inference.in. The prompts are written and their pictures
prepared by transformers' processor, the answers are those of its generate.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
import vision_cases as cases
from safetensors import safe_open
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

MARGIN = 2e-4  # in logits, between the two likeliest tokens: closer ones could be told apart by rounding alone


def shapes(config: transformers.PretrainedConfig) -> dict[str, tuple[int, ...]]:
    """The checkpoint's tensors as transformers itself names and saves them, under the published names."""
    with tempfile.TemporaryDirectory() as folder:
        transformers.AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
        with safe_open(Path(folder, "model.safetensors"), "np") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    return {name.replace("model.visual.", "visual.").replace("language_model.", ""): s for name, s in found.items()}


class OfPictures(transformers.Qwen2VLProcessor):
    """Without films, whose processor wants torchvision."""

    def check_argument_for_proper_class(self, argument_name, argument):
        return None


def processor(folder: Path) -> OfPictures:
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    images = Qwen2VLImageProcessorPil.from_pretrained(folder)
    return OfPictures(images, tokenizer, None, chat_template=cases.TEMPLATE)


def answer(case: str, folder: Path) -> dict[str, np.ndarray]:
    """Of each conversation: the prompt, greedy tokens, and the logits that they were chosen by."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(cases.CASES[case]))
    named = shapes(transformers.AutoConfig.from_pretrained(folder))
    cases.write_folder(folder, cases.CASES[case], named)
    model, info = transformers.AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, attn_implementation="eager"
    )
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    found, process = {"shapes": np.array(json.dumps(named))}, processor(folder)
    model.save_pretrained(folder / "saved")
    found["saved"] = np.array((folder / "saved" / "config.json").read_text())
    for name, conversation in cases.CONVERSATIONS.items():
        text = process.apply_chat_template(
            cases.for_templates(conversation), tokenize=False, add_generation_prompt=True
        )
        given = process(text=[text], images=cases.shown(conversation) or None, return_tensors="pt")
        with torch.inference_mode():
            decoded = model.eval().generate(
                **given,
                do_sample=False,
                max_new_tokens=cases.STEPS,
                min_new_tokens=cases.STEPS,
                eos_token_id=None,
                pad_token_id=0,
                return_dict_in_generate=True,
                output_logits=True,
            )
        logits = torch.stack(decoded.logits, 1)[0]
        likeliest = logits.topk(2).values
        margin = (likeliest[..., 0] - likeliest[..., 1]).min()
        prompt = given["input_ids"][0]
        tokens = decoded.sequences[0, len(prompt) :]
        print(f"{case}, {name}: {len(prompt)} tokens, margin {margin:.1e}: {tokens.tolist()}")
        assert margin > MARGIN, f"{case}, {name}: take another conversation in vision_cases.py"
        found[f"{name}.prompt"] = prompt.numpy()
        found[f"{name}.tokens"] = tokens.numpy()  # (steps,)
        found[f"{name}.logits"] = logits[[0, -1]].numpy()  # of the first and of the last, (2, V)
    return found


def main() -> None:
    transformers.utils.logging.disable_progress_bar()
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("vision_reference.npz")
    found = {"versions": np.array(f"transformers {transformers.__version__}, torch {torch.__version__}")}
    with tempfile.TemporaryDirectory() as folder:
        for case in cases.CASES:
            for name, value in answer(case, Path(folder, case)).items():
                found[f"{case}.{name}"] = value
    np.savez_compressed(target, **found)
    print(f"{found['versions']}: {target}, {target.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
