"""Qwen3, text (https://arxiv.org/abs/2505.09388): what a further model of a known family costs.

Against Llama it has a norm over each head's queries and keys before they are turned, and heads whose size does not
follow from the width.
"""

import paddle
from llama32 import Config, Llama32, Shapes, head_dim, rms_norm


class Qwen3(Llama32):
    """The decoder of llama32.py with normed queries and keys."""

    @staticmethod
    def shapes(c: Config) -> Shapes:
        """Llama's tensors, and two norms (D,) a layer."""
        norms = {
            f"model.layers.{number}.self_attn.{name}_norm.weight": (head_dim(c),)
            for number in range(c["num_hidden_layers"])
            for name in "qk"
        }
        return Llama32.shapes(c) | norms

    def project(self, x: paddle.Tensor, prefix: str) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """Queries (B, H, T, D), keys and values (B, KV, T, D) of x (B, T, hidden)."""
        q, k, v = super().project(x, prefix)
        q = rms_norm(q, self.weights[prefix + "self_attn.q_norm.weight"], self.epsilon)
        return q, rms_norm(k, self.weights[prefix + "self_attn.k_norm.weight"], self.epsilon), v
