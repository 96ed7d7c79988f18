"""The architectures that GGUF's metadata may name, as llama.cpp computes them: which keys each has, and its decoder.

A key of the architecture that is in no list here is refused by its name, whatever it says.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .config import Config, Experts
from .errors import ModelError
from .rope import OLD, Rope
from .values import integer, number, shown

Says = Mapping[str, Any]  # metadata without the name of the architecture before them
Fields = dict[str, Any]
Tensors = Mapping[str, Any]
BIASES = {"attn_q": "q_proj", "attn_k": "k_proj", "attn_v": "v_proj", "attn_output": "o_proj"}
QKV = ("attn_q", "attn_k", "attn_v")
BIASES |= {"ffn_gate": "gate_proj", "ffn_up": "up_proj", "ffn_down": "down_proj"}
READ = """
    block_count embedding_length feed_forward_length attention.head_count attention.head_count_kv attention.key_length
    attention.value_length context_length rope.freq_base rope.dimension_count attention.layer_norm_rms_epsilon
    vocab_size rope.scaling.type rope.scaling.factor rope.scale_linear rope.scaling.original_context_length
    rope.scaling.finetuned rope.scaling.attn_factor rope.scaling.yarn_ext_factor rope.scaling.yarn_attn_factor
    rope.scaling.yarn_beta_fast rope.scaling.yarn_beta_slow
"""
# llama.cpp itself reads these for other architectures alone, and takes these values.
YARN = {
    "rope.scaling.yarn_ext_factor": 1.0,
    "rope.scaling.yarn_attn_factor": 1.0,
    "rope.scaling.yarn_beta_fast": 32.0,
    "rope.scaling.yarn_beta_slow": 1.0,
}
# What may be said only in the way that changes nothing.
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "expert_count": (0,),
    "expert_used_count": (0,),
    "attention.causal": (True,),
    "attention.sliding_window": (0,),
    "use_parallel_residual": (False,),
    "tensor_data_layout": ("Meta AI original pth",),
    "rope.scaling.yarn_log_multiplier": (0.0,),
    "attn_logit_softcapping": (0.0,),
    "final_logit_softcapping": (0.0,),
    "logit_scale": (0.0, 1.0),
    "embedding_scale": (0.0, 1.0),
    "residual_scale": (0.0, 1.0),
    "attention.scale": (0.0,),
    "leading_dense_block_count": (0,),
    "nextn_predict_layers": (0,),
}

# What type a value has; whole numbers are the others, and lists of them or of flags.
REAL = """
    attention.layer_norm_rms_epsilon rope.freq_base rope.freq_base_swa rope.scaling.factor rope.scale_linear
    rope.scaling.attn_factor rope.scaling.yarn_ext_factor rope.scaling.yarn_attn_factor rope.scaling.yarn_beta_fast
    rope.scaling.yarn_beta_slow rope.scaling.yarn_log_multiplier attn_logit_softcapping final_logit_softcapping
    logit_scale embedding_scale residual_scale attention.scale
"""
TYPES: Mapping[str, type] = {
    **dict.fromkeys(REAL.split(), float),
    **dict.fromkeys(("attention.causal", "use_parallel_residual", "rope.scaling.finetuned"), bool),
    **dict.fromkeys(("rope.scaling.type", "tensor_data_layout"), str),
}


def plain_fields(says: Says, metadata: Mapping[str, Any], tied: bool) -> Fields:
    """The fields of Config that every architecture has."""
    heads, hidden = integer(says, "attention.head_count"), integer(says, "embedding_length")
    size = integer(says, "attention.key_length", max(hidden // heads, 1))
    if integer(says, "attention.value_length", size) != size:
        _refuse("attention.value_length", says)
    pieces = metadata.get("tokenizer.ggml.tokens")
    if not isinstance(pieces, list) or not pieces:
        raise ModelError("the GGUF file's metadata has no 'tokenizer.ggml.tokens': fetch the file again")
    if integer(says, "vocab_size", len(pieces)) != len(pieces):
        raise ModelError(f"the GGUF file has {len(pieces)} tokens and says {says['vocab_size']}: fetch the file again")
    return {
        "layers": integer(says, "block_count"),
        "hidden": hidden,
        "inner": integer(says, "feed_forward_length"),
        "heads": heads,
        "kv_heads": integer(says, "attention.head_count_kv", heads),
        "head_dim": size,
        "vocabulary": len(pieces),
        "context": integer(says, "context_length"),
        "rope_theta": number(says, "rope.freq_base", 10000.0, 1),
        "epsilon": number(says, "attention.layer_norm_rms_epsilon", more_than=0),
        "tied": tied,
    }


def _refuse(name: str, says: Says) -> None:
    raise ModelError(f"the GGUF file has {name} = {shown(says[name])}, which is not computed here: take another model")


def rope_of(says: Says, fields: Fields, tensors: Tensors, theta: float | None = None) -> Rope:
    """The rotary embedding of metadata, and of the tensor `rope_freqs.weight` where the file has it."""
    size, context = fields["head_dim"], fields["context"]
    turning = integer(says, "rope.dimension_count", size)
    if turning > size or turning % 2 or size % 2:
        _refuse("rope.dimension_count", says)
    theta = fields["rope_theta"] if theta is None else theta
    settings = _scaling(says, context)
    kind = settings.pop("type")
    if "rope_freqs.weight" in tensors:
        if kind != "default":
            raise ModelError("the GGUF file has rope_freqs.weight beside a rope scaling: take another model")
        kind, settings = "factors", {"factors": _factors(tensors, "rope_freqs.weight", turning // 2)}
    return Rope(
        theta=theta, pairs=turning // 2, still=(size - turning) // 2, kind=kind, context=context, settings=settings
    )


def _factors(tensors: Tensors, name: str, pairs: int) -> list[float]:
    found = np.asarray(tensors[name], float).ravel()
    if found.shape != (pairs,) or not (np.isfinite(found).all() and (found > 0).all()):
        raise ModelError(f"the GGUF file's {name} is not {pairs} numbers above 0: fetch the file again")
    return [float(factor) for factor in found]


def _scaling(says: Says, context: int) -> dict[str, Any]:
    # llama.cpp takes a factor without a type for linear scaling, and none for a type "none".
    factor = number(says, "rope.scaling.factor", number(says, "rope.scale_linear", 0.0)) or 1.0
    kind = says.get("rope.scaling.type", "linear")
    for name, usual in YARN.items():
        if says.get(name) not in (None, usual):
            _refuse(name, says)
    if kind == "none" or (kind == "linear" and factor == 1):
        if says.get("rope.scaling.attn_factor", 1.0) != 1.0:
            _refuse("rope.scaling.attn_factor", says)
        return {"type": "default"}
    if kind not in ("linear", "yarn") or factor <= 0:
        raise ModelError(f"rope scaling {shown(kind)} by {factor:g} is not supported here: take another model")
    if says.get("rope.scaling.attn_factor", 1.0) != 1.0:
        _refuse("rope.scaling.attn_factor", says)
    if kind == "linear":
        return {"type": "linear", "factor": factor}
    return {
        "type": "yarn",
        "factor": factor,
        # In fewer than 2π positions no pair turns once, and llama.cpp's ramp is another than transformers'.
        OLD: integer(says, "rope.scaling.original_context_length", context, 7),
    }


def biases_of(tensors: Tensors, names: Iterable[str] = BIASES) -> frozenset[str]:
    """Of the projections `names` those with a bias in the first layer; other layers that differ are refused."""
    return frozenset(BIASES[name] for name in names if f"blk.0.{name}.bias" in tensors)


def _llama(says: Says, fields: Fields, tensors: Tensors) -> Fields:
    found: Fields = {"ropes": (rope_of(says, fields, tensors),), "biases": biases_of(tensors)}
    _all_turn(found["ropes"][0], says)
    if integer(says, "expert_count", 0, least=0):
        found["experts"] = _experts(says, fields, fields["inner"])
    return found


def _experts(says: Says, fields: Fields, inner: int) -> Experts:
    count, chosen = integer(says, "expert_count"), integer(says, "expert_used_count")
    if chosen > count:
        raise ModelError(f"{chosen} of {count} experts cannot be chosen: fetch the file again")
    return Experts(count=count, chosen=chosen, inner=inner, layers=(True,) * fields["layers"])


def _all_turn(rope: Rope, says: Says) -> None:
    """llama.cpp ends where pairs of these architectures stand still."""
    if rope.still:
        _refuse("rope.dimension_count", says)


def _qwen2(says: Says, fields: Fields, tensors: Tensors) -> Fields:
    rope = rope_of(says, fields, {})
    _all_turn(rope, says)
    return {"ropes": (rope,), "biases": biases_of(tensors, QKV)}


def _qwen3(says: Says, fields: Fields, tensors: Tensors) -> Fields:
    return {**_qwen2(says, fields, tensors), "head_norms": True}


def _qwen3moe(says: Says, fields: Fields, tensors: Tensors) -> Fields:
    inner = integer(says, "expert_feed_forward_length")
    return {**_qwen3(says, fields, tensors), "experts": _experts(says, fields, inner)}


def _gemma(says: Says, fields: Fields, largest: int) -> Fields:
    # llama.cpp knows the largest of the family by its layers: that one alone scales by the width of all heads.
    size = fields["hidden"] // fields["heads"] if fields["layers"] == largest else fields["head_dim"]
    return {
        "activation": "gelu_tanh",
        "sandwich": True,
        "score_scale": size**-0.5,
        "embedding_scale": fields["hidden"] ** 0.5,
    }


def _slides(says: Says, layers: int, pattern: int) -> list[bool]:
    """Whether each layer slides: the last of every `pattern` does not, or as the file says."""
    said = says.get("attention.sliding_window_pattern", pattern)
    if isinstance(said, list):
        if len(said) < layers or any(not isinstance(each, (bool, int)) for each in said):
            _refuse("attention.sliding_window_pattern", says)
        return [bool(each) for each in said[:layers]]
    pattern = integer({"attention.sliding_window_pattern": said}, "attention.sliding_window_pattern")
    return [bool((layer + 1) % pattern) for layer in range(layers)]


def _gemma2(says: Says, fields: Fields, tensors: Tensors) -> Fields:
    window = integer(says, "attention.sliding_window", 4096)
    return {
        **_gemma(says, fields, largest=46),
        "tied": True,
        "ropes": (rope_of(says, fields, {}),),
        "windows": tuple(window if slides else 0 for slides in _slides(says, fields["layers"], 2)),
        "score_cap": number(says, "attn_logit_softcapping", 50.0, 0),
        "logit_cap": number(says, "final_logit_softcapping", 30.0, 0),
    }


def _gemma3(says: Says, fields: Fields, tensors: Tensors) -> Fields:
    window = integer(says, "attention.sliding_window", 0, least=0)
    slides = _slides(says, fields["layers"], 6) if window else [False] * fields["layers"]
    near = rope_of({"rope.scaling.type": "none"}, fields, {}, number(says, "rope.freq_base_swa", 10000.0, 0))
    # Without freq_base llama.cpp takes another than transformers.
    rope = rope_of(says, fields, {}, number(says, "rope.freq_base", more_than=1))
    _all_turn(rope, says)
    return {
        **_gemma(says, fields, largest=62),
        "ropes": (rope, near),
        "turned": tuple(map(int, slides)),
        "windows": tuple(window if each else 0 for each in slides),
        "head_norms": True,
        "logit_cap": number(says, "final_logit_softcapping", 0.0),
    }


def _phi3(says: Says, fields: Fields, tensors: Tensors) -> Fields:
    rope = rope_of({**says, "rope.scaling.attn_factor": 1.0, "rope.scaling.type": "none"}, fields, {})
    magnitude = number(says, "rope.scaling.attn_factor", 1.0, 0)
    names = {"short_factor": "rope_factors_short.weight", "long_factor": "rope_factors_long.weight"}
    there = [name in tensors for name in names.values()]
    said = says.get("rope.scaling.type", "none")
    if said not in ("none", "longrope") or any(there) != all(there) or (said == "longrope" and not all(there)):
        _refuse("rope.scaling.type", {"rope.scaling.type": said})
    for name in ("rope.scaling.factor", "rope.scale_linear"):
        if number(says, name, 1.0) not in (0.0, 1.0):
            _refuse(name, says)
    if all(there):
        settings: dict[str, Any] = {own: _factors(tensors, name, rope.pairs) for own, name in names.items()}
        settings |= {"attention_factor": magnitude, OLD: integer(says, "rope.scaling.original_context_length")}
        rope = Rope(
            theta=rope.theta,
            pairs=rope.pairs,
            still=rope.still,
            kind="longrope",
            context=rope.context,
            settings=settings,
        )
    elif magnitude != 1:
        _refuse("rope.scaling.attn_factor", says)
    window = integer(says, "attention.sliding_window", 0, least=0)
    return {"ropes": (rope,), "windows": (window,) * fields["layers"]}


def _smollm3(says: Says, fields: Fields, tensors: Tensors) -> Fields:
    turned = tuple(-1 if (layer + 1) % 4 == 0 else 0 for layer in range(fields["layers"]))  # as llama.cpp has it
    return {**_llama(says, fields, tensors), "ropes": (rope_of(says, fields, {}),), "turned": turned}


@dataclass(frozen=True)
class Architecture:
    """One architecture of GGUF."""

    fields: Callable[[Says, Fields, Tensors], Fields]
    keys: str = ""  # that it reads beside those of all
    permuted: bool = False  # the numbers of a pair lie side by side, not half a head apart


WINDOW = "attention.sliding_window attention.sliding_window_pattern"
ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": Architecture(_llama, "expert_count expert_used_count", permuted=True),
    "qwen2": Architecture(_qwen2),
    "qwen3": Architecture(_qwen3),
    "qwen3moe": Architecture(_qwen3moe, "expert_count expert_used_count expert_feed_forward_length"),
    "gemma2": Architecture(_gemma2, f"{WINDOW} attn_logit_softcapping final_logit_softcapping"),
    "gemma3": Architecture(_gemma3, f"{WINDOW} final_logit_softcapping rope.freq_base_swa"),
    "phi3": Architecture(_phi3, "attention.sliding_window"),
    "smollm3": Architecture(_smollm3, permuted=True),
}


def architecture_of(metadata: Mapping[str, Any]) -> tuple[str, Architecture]:
    """The architecture that the metadata name. Raises ModelError for one that is unknown."""
    name = metadata.get("general.architecture", "?")
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise ModelError(f"architecture {shown(name)} is unknown here; there is {', '.join(ARCHITECTURES)}")
    return name, ARCHITECTURES[name]


def from_gguf(metadata: Mapping[str, Any], tensors: Tensors) -> Config:
    """Read GGUF's metadata. Raises ModelError as `families.from_hugging_face` does."""
    name, architecture = architecture_of(metadata)
    if metadata.get("general.type", "model") != "model":
        raise ModelError(f"the GGUF file is a {shown(metadata['general.type'])}, no model: name the model's file")
    parts = metadata.get("split.count", 0)
    if isinstance(parts, bool) or not isinstance(parts, int) or parts > 1:
        raise ModelError(f"the GGUF file is one of {shown(parts)}: join them by llama-gguf-split")
    says = {key.partition(".")[2]: value for key, value in metadata.items() if key.startswith(f"{name}.")}
    read = {*READ.split(), *architecture.keys.split()}
    for key, value in says.items():
        if key not in read and not (key in NEUTRAL and value in NEUTRAL[key]):
            raise ModelError(
                f"the GGUF file has {name}.{key} = {shown(value)}, which is not computed here: take another model"
            )
        kind, several = TYPES.get(key, int), type(value) is list and key.endswith("_pattern")
        if not several and (type(value) is not kind or (isinstance(value, int) and value < 0)):
            said = f"{name}.{key} = {shown(value)}, which is no {kind.__name__} that it may be"
            raise ModelError(f"the GGUF file has {said}: fetch the file again")
    if says.get("expert_used_count") and not says.get("expert_count"):
        raise ModelError(f"the GGUF file has {name}.expert_used_count and no expert_count: fetch the file again")
    fields = plain_fields(says, metadata, tied="output.weight" not in tensors)
    return Config(**{**fields, **architecture.fields(says, fields, tensors)})
