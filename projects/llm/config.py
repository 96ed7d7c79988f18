"""The shape of a decoder, from a Hugging Face `config.json` (families.py) or from GGUF's metadata (gguf_config.py)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ModelError
from .rope import Rope, make_rope
from .values import flag, fraction, integer, number

ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
}


@dataclass(frozen=True, kw_only=True)
class Experts:
    """Feed-forward networks of which each token takes a few (https://arxiv.org/abs/2101.03961)."""

    count: int
    chosen: int
    inner: int
    layers: tuple[bool, ...]  # which layers have them
    renormalised: bool = True  # the shares of those that are chosen sum to 1


@dataclass(frozen=True, kw_only=True)
class Config:
    """What fixes a decoder: Llama's numbers (https://arxiv.org/abs/2302.13971), and what other families add."""

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
    ropes: tuple[Rope, ...] = ()
    turned: tuple[int, ...] = ()  # which of the ropes turns each layer's queries and keys; -1: none
    sections: tuple[int, ...] = ()  # how many pairs of a head turn by time, row and column (places.py); (): by one
    windows: tuple[int, ...] = ()  # how many positions a token sees in each layer, its own among them; 0: all
    biases: frozenset[str] = frozenset()  # the projections that have one
    head_norms: bool = False  # an RMSNorm over each query and key
    sandwich: bool = False  # norms behind attention and feed-forward network, too
    activation: str = "silu"
    score_scale: float = 0.0  # of queries with keys; 0: 1/√head_dim
    score_cap: float = 0.0  # c tanh(x / c); 0: none
    logit_cap: float = 0.0
    embedding_scale: float = 1.0
    experts: Experts | None = None

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ModelError(f"{self.heads} heads do not share {self.kv_heads} keys evenly: copy the model again")
        if self.head_dim % 2:
            raise ModelError(f"heads of {self.head_dim} numbers have no pairs to turn: take another model")

        def fill(name: str, value: Any) -> None:
            if not getattr(self, name):
                object.__setattr__(self, name, value)

        fill("ropes", (Rope(theta=self.rope_theta, pairs=self.head_dim // 2, context=self.context),))
        fill("turned", (0,) * self.layers)
        fill("windows", (0,) * self.layers)
        fill("score_scale", self.head_dim**-0.5)

    @property
    def group(self) -> int:
        """Query heads that share one key and value head."""
        return self.heads // self.kv_heads

    @property
    def longest(self) -> int:
        """The longest text that every layer reads with the same frequencies from its first token to its last."""
        return min([self.context, *(rope.longest for rope in self.ropes)])

    def has_experts(self, layer: int) -> bool:
        return self.experts is not None and self.experts.layers[layer]


def numbers(config: Mapping[str, Any]) -> Config:
    """The numbers of a `config.json` whatever its architecture. Raises ModelError if one is missing, or is none."""
    return Config(**plain_numbers(config))


def plain_numbers(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of Config that every family has."""
    rope = rope_of(config)
    heads, hidden = integer(config, "num_attention_heads"), integer(config, "hidden_size")
    return {
        "layers": integer(config, "num_hidden_layers"),
        "hidden": hidden,
        "inner": integer(config, "intermediate_size"),
        "heads": heads,
        "kv_heads": integer(config, "num_key_value_heads", heads),
        "head_dim": integer(config, "head_dim", max(hidden // heads, 1)),
        "vocabulary": integer(config, "vocab_size"),
        "context": integer(config, "max_position_embeddings"),
        "rope_theta": number(rope, "rope_theta", number(config, "rope_theta", 10000.0, 0), 0),
        "epsilon": fraction(config, "rms_norm_eps", more_than=0),
        "tied": flag(config, "tie_word_embeddings", False),
    }


def rope_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What config.json says of its rotary embedding: `rope_parameters` in newer files, `rope_scaling` in older."""
    new, old = config.get("rope_parameters"), config.get("rope_scaling")
    if new and old and new != old:
        raise ModelError("config.json has both 'rope_parameters' and 'rope_scaling', which differ: keep one of them")
    for found in (new, old):
        if found is not None and not isinstance(found, Mapping):
            raise ModelError(f"config.json's rope scaling is {found!r}, not an object: copy the model's folder again")
    return new or old or {}


def rope_from(config: Mapping[str, Any], fields: Mapping[str, Any], says: Mapping[str, Any] | None = None) -> Rope:
    """The rotary embedding of a config.json whose plain numbers are `fields`."""
    says = rope_of(config) if says is None else says
    theta = number(says, "rope_theta", fields["rope_theta"], 0)
    return make_rope(says, theta, fields["head_dim"], fields["context"])


def activation_of(config: Mapping[str, Any], names: tuple[str, ...] = ("hidden_act",), default: str = "silu") -> str:
    """The activation of the feed-forward network by `names`, the first that is there. Raises ModelError."""
    said = next((config[name] for name in names if config.get(name) is not None), default)
    if not isinstance(said, str) or said not in ACTIVATIONS:
        there = ", ".join(ACTIVATIONS)
        raise ModelError(f"config.json has {names[0]!r}: {said!r}, which is not computed here, there is {there}")
    return ACTIVATIONS[said]


def windows_of(config: Mapping[str, Any], layers: int, window: int, default: list[bool]) -> tuple[int, ...]:
    """The window of each layer by `layer_types`, or by `default` where it is not there. Raises ModelError."""
    types = config.get("layer_types")
    if types is None:
        return tuple(window if slides else 0 for slides in default)
    known = {"full_attention": 0, "sliding_attention": window}
    if not isinstance(types, list) or len(types) != layers or any(type not in [*known] for type in types):
        raise ModelError(
            f"config.json has 'layer_types' that are not {layers} of {', '.join(known)}: {str(types)[:99]}"
        )
    if "sliding_attention" in types and not window:
        raise ModelError("config.json has sliding layers and no 'sliding_window': copy the model's folder again")
    return tuple(known[type] for type in types)
