"""PaddleNLP's own Llama, a whole one or one stage's section, behind the same face as llama.py's.

Importing PaddleNLP takes about ten seconds of a core, in each process that does it. So this module is imported where
it is needed alone.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle
from llama import BASE, EPSILON, Section, Sizes
from paddle import nn
from paddlenlp.transformers import LlamaConfig, LlamaForCausalLMNet


class PaddleNLPLlama(nn.Layer):
    """`LlamaForCausalLMNet` with the layers of a section; what this stage does not hold is taken out of it."""

    def __init__(self, sizes: Sizes, held: Section, length: int, mp: int = 1) -> None:
        super().__init__()
        network = LlamaForCausalLMNet(LlamaConfig(
            vocab_size=sizes.vocabulary, hidden_size=sizes.hidden, intermediate_size=sizes.inner,
            num_hidden_layers=held.stop - held.start, num_attention_heads=sizes.heads, rms_norm_eps=EPSILON,
            rope_theta=BASE, max_position_embeddings=length, seq_length=length, tensor_parallel_degree=mp,
            use_flash_attention=False, sequence_parallel=False, use_cache=False,
        ))  # fmt: skip
        self.plan: dict[str, Any] = network.auto_dist_config()["mp_config"]["parallelize_plan"]
        self.held, self.llama = held, network.llama
        if not held.first:
            self.llama.embed_tokens = nn.Identity()
        if held.last:
            self.lm_head = network.lm_head
        else:
            self.llama.norm = nn.Identity()

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """As llama.Llama: token numbers (b, s) or activations (b, s, h), to activations or logits (b, s, v)."""
        given = {"input_ids": x} if self.held.first else {"input_ids": None, "inputs_embeds": x}
        hidden = self.llama(**given, return_dict=False)[0]
        return self.lm_head(hidden) if self.held.last else hidden


def whole(sizes: Sizes, length: int, weights: Mapping[str, np.ndarray], dtype: str) -> PaddleNLPLlama:
    """All of it, with these weights, in Paddle's default type, which `dtype` names."""
    network = PaddleNLPLlama(sizes, Section(0, sizes.layers, True, True), length)
    for name, parameter in network.named_parameters():
        parameter.set_value(weights[name].astype(dtype))
    return network
