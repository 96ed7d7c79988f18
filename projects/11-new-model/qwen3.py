"""Qwen3, text (https://arxiv.org/abs/2505.09388): what a further model of a known family costs.

Against Llama it has a norm over each head's queries and keys before they are turned, and heads whose size does not
follow from the width.
"""

from collections.abc import Mapping

import numpy as np
import paddle
from llama32 import Config, Shapes, stretched
from llm.config import numbers
from llm.decoder import GroupedQueryAttention, Llama, RMSNorm
from llm.tensors import expected_shapes


class NormedAttention(GroupedQueryAttention):
    """Attention with an RMSNorm (D,) over each query and each key."""

    def __init__(self, config, part, linear) -> None:
        super().__init__(config, part, linear)
        self.q_norm, self.k_norm = (RMSNorm(part(f"self_attn.{name}_norm")[0], config.epsilon) for name in "qk")

    def project(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """Queries (B, H, T, D), keys and values (B, KV, T, D) of x (B, T, hidden)."""
        q, k, v = super().project(x)
        return self.q_norm(q), self.k_norm(k), v


class Qwen3(Llama):
    """Llama with normed queries and keys."""

    KNOWN = ()

    @staticmethod
    def shapes(config: Config) -> Shapes:
        """Llama's tensors, and two norms (D,) a layer."""
        known = numbers(config)
        prefixes = [f"model.layers.{number}.self_attn." for number in range(known.layers)]
        norms = {f"{prefix}{name}_norm.weight": (known.head_dim,) for prefix in prefixes for name in "qk"}
        return expected_shapes(known) | norms

    def __init__(self, config: Config, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__(stretched(config), weights, attention=NormedAttention)
