"""What the language-model programs share: model files, tokenizer, chat template, sampling, and one decoder.

Like `kit` it is a library beside the projects and none of them: it has no `project.yaml`. It reads a model as it
lies on the disk and says what is in it. `llm.decoder` computes with it in plain operators, and `llm.vision` with what
it sees pictures by; these two alone need Paddle. `llm.exact` computes in numpy, for others to be held against. The new
models of task 11 are small differences of the first.

    import llm

    model = llm.open_model("smollm2")          # or a GGUF file, or a Hugging Face folder
    prompt = model.tokenizer.chat("What is the capital of France?")
    weight = model.weights["model.layers.0.self_attn.q_proj.weight"]   # numpy, float32, Hugging Face's layout

A file that cannot be used raises `ModelError`, whose text says what, why and what to do.
"""

from .config import Config
from .errors import ModelError
from .model import Model, Vision, open_model
from .sampling import Sampler, SamplingError
from .streaming import Stream
from .tokenizer import Tokenizer

__all__ = ["Config", "Model", "ModelError", "Sampler", "SamplingError", "Stream", "Tokenizer", "Vision", "open_model"]
