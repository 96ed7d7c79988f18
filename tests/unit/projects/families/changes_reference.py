"""Write changes.npz: which logits transformers has after each change of changes.py that is read here.

    PYTHON tests/unit/projects/families/changes_reference.py [FILE]

with a Python that has the packages of docker/locks/bench-inference.in. A change after which tensors have other shapes
gets weights of these shapes. What is read here and an error of transformers' is printed: it is to be refused.
"""

import json
import resource
import signal
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import cases
import changes
import numpy as np
import torch
import transformers
import vision_reference
from safetensors import safe_open

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "projects"))
import llm
from llm.vision_config import TOWERS, vision_config

SECONDS, LARGEST = 20, 5e6  # of a load, and numbers of a model


def shapes(config: transformers.PretrainedConfig) -> dict[str, list[int]]:
    """The checkpoint's tensors as transformers saves them."""
    seeing = "vl" in config.model_type
    kind = transformers.AutoModelForImageTextToText if seeing else transformers.AutoModelForCausalLM
    with torch.device("meta"):
        made = {name: tuple(each.shape) for name, each in kind.from_config(config).named_parameters()}
    if sum(map(np.prod, made.values())) > LARGEST:
        raise TooLarge
    known = (config.model_type, *made.items())
    if known not in SHAPES:
        SHAPES[known] = saved(config, kind, seeing)
    return SHAPES[known]


SHAPES: dict[Any, dict[str, list[int]]] = {}


def saved(config: transformers.PretrainedConfig, kind: Any, seeing: bool) -> dict[str, list[int]]:
    if seeing:
        return {name: list(shape) for name, shape in vision_reference.shapes(config).items()}
    with tempfile.TemporaryDirectory() as folder:
        kind.from_config(config).save_pretrained(folder)
        with safe_open(Path(folder, "model.safetensors"), "np") as file:
            return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


class TooLarge(Exception):
    """A model that is not made."""


def stop(*_: Any) -> None:
    raise TooLarge


def answer(folder: Path, config: dict[str, Any]) -> tuple[dict[str, list[int]], np.ndarray]:
    """The shapes, and the logits that are kept. Raises whatever transformers raises."""
    (folder / "config.json").write_text(json.dumps(config))
    read = transformers.AutoConfig.from_pretrained(folder)
    named = shapes(read)
    cases.write_folder(folder, config | {"vocab_size": cases.VOCABULARY}, {n: tuple(s) for n, s in named.items()})
    (folder / "config.json").write_text(json.dumps(config))
    seeing = "vl" in read.model_type
    kind = transformers.AutoModelForImageTextToText if seeing else transformers.AutoModelForCausalLM
    given = {"output_loading_info": True, "attn_implementation": "eager", "experts_implementation": "eager"}
    model, info = kind.from_pretrained(folder, **given)
    if model.dtype != torch.float32:
        model, info = kind.from_pretrained(folder, dtype=torch.float32, **given)
    if info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"]:
        raise ValueError(str(info))
    tokens = torch.tensor(changes.PROMPT[None] % len(model.get_input_embeddings().weight))
    with torch.inference_mode():
        found = model.eval()(input_ids=tokens, return_dict=True).logits[0].float().numpy()
    found = changes.kept(found)
    if not np.isfinite(found).all():
        raise ValueError("no number")
    return named, found


def refused(config: dict[str, Any]) -> bool:
    """Whether this project refuses it: then it need not be asked."""
    try:
        llm.families.from_hugging_face(config)
        if (name := llm.families.family_of(config)[0]) in TOWERS:
            vision_config(name, config.get("vision_config"))
    except llm.ModelError:
        return True
    return False


def main() -> None:
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
    signal.signal(signal.SIGALRM, stop)
    torch.set_num_threads(1)
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("changes.npz")
    verdicts: dict[str, dict[str, Any]] = {}
    forms: dict[str, int] = {}
    rows: list[np.ndarray] = []
    for case in changes.CASES:
        of_case = verdicts[case] = {}
        for place, value in [("", None), *changes.changes(case)]:
            config = changes.changed(changes.CASES[case], place, value) if place else changes.CASES[case]
            if refused(config):
                continue
            signal.alarm(SECONDS)
            try:
                with tempfile.TemporaryDirectory() as folder:
                    named, logits = answer(Path(folder), config)
                form = forms.setdefault(json.dumps(named), len(forms))
                row = next((n for n, each in enumerate(rows) if np.array_equal(each, logits)), len(rows))
                rows += [logits] if row == len(rows) else []
                of_case[changes.key(place, value)] = [form, row]
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt) or not place:
                    raise
                why = f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
                print(f"to be refused: {case} {changes.key(place, value)}: {why}", flush=True)
            finally:
                signal.alarm(0)
        print(f"{case}: {len(of_case)} changes", flush=True)
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
    made = {"verdicts": np.array(json.dumps(verdicts)), "shapes": np.array(list(forms)), "logits": np.array(rows)}
    np.savez_compressed(target, versions=np.array(versions), **made)
    print(f"{versions}: {target}, {target.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
