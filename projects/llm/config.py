"""The shape of a decoder of the Llama family, from a Hugging Face `config.json` or from GGUF's metadata."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ModelError
from .unknown import refuse_keys, refuse_metadata, refuse_rope

ARCHITECTURES = ("LlamaForCausalLM", "llama")  # Hugging Face's name and GGUF's


@dataclass(frozen=True, kw_only=True)
class Config:
    """The numbers that fix a Llama decoder (https://arxiv.org/abs/2302.13971)."""

    layers: int
    hidden: int
    inner: int  # width between the two projections of the feed-forward network
    heads: int
    kv_heads: int  # fewer than heads: grouped-query attention
    head_dim: int
    vocabulary: int
    context: int  # positions that the model was trained for
    rope_theta: float
    epsilon: float  # of RMSNorm
    tied: bool  # the output layer is the embedding

    @property
    def group(self) -> int:
        """Query heads that share one key and value head."""
        return self.heads // self.kv_heads


def from_hugging_face(config: Mapping[str, Any]) -> Config:
    """Read the dictionary of a `config.json`.

    Raises ModelError for another architecture, a missing number, and a key that changes the computation in a way that
    is not known here.
    """
    names = config.get("architectures") or [config.get("model_type", "?")]
    _known(names[0])
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise ModelError(f"rope scaling {kind!r} is not supported here: take a model without it")
    refuse_rope(rope)
    refuse_keys(config)
    return numbers(config)


def numbers(config: Mapping[str, Any]) -> Config:
    """The numbers of a `config.json` whatever its architecture. Raises ModelError if one is missing."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    try:
        heads = config["num_attention_heads"]
        return Config(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            inner=config["intermediate_size"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            vocabulary=config["vocab_size"],
            context=config["max_position_embeddings"],
            rope_theta=float(rope.get("rope_theta", config.get("rope_theta", 10000.0))),
            epsilon=config["rms_norm_eps"],
            tied=config.get("tie_word_embeddings", False),
        )
    except KeyError as error:
        raise ModelError(f"config.json has no {error}: copy the model's folder again") from None


def from_gguf(metadata: Mapping[str, Any], tied: bool) -> Config:
    """Read GGUF's metadata. Raises ModelError as `from_hugging_face` does."""
    architecture = metadata.get("general.architecture", "?")
    _known(architecture)
    kind = metadata.get(f"{architecture}.rope.scaling.type", "none")
    if kind != "none":
        raise ModelError(f"rope scaling {kind!r} is not supported here: take a model without it")
    try:
        heads = metadata["llama.attention.head_count"]
        found = Config(
            layers=metadata["llama.block_count"],
            hidden=metadata["llama.embedding_length"],
            inner=metadata["llama.feed_forward_length"],
            heads=heads,
            kv_heads=metadata.get("llama.attention.head_count_kv", heads),
            head_dim=metadata.get("llama.attention.key_length", metadata["llama.embedding_length"] // heads),
            vocabulary=len(metadata["tokenizer.ggml.tokens"]),
            context=metadata["llama.context_length"],
            rope_theta=metadata.get("llama.rope.freq_base", 10000.0),
            epsilon=metadata["llama.attention.layer_norm_rms_epsilon"],
            tied=tied,
        )
        refuse_metadata(metadata, found.head_dim)
        return found
    except KeyError as error:
        raise ModelError(f"the GGUF file's metadata has no {error}: fetch the file again") from None


def _known(architecture: str) -> None:
    if architecture not in ARCHITECTURES:
        raise ModelError(f"architecture {architecture!r} is unknown here; there is {', '.join(ARCHITECTURES)}")
