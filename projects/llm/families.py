"""The architectures that a `config.json` may name: which keys each has, and how its decoder differs from Llama's.

A key that is in no list here is refused by its name (unknown.py), whatever it says. Where config.json lacks a key, what
transformers takes instead stands in `defaults`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .config import Config, Experts, activation_of, plain_numbers, rope_from, rope_of, windows_of
from .errors import ModelError
from .rope import OLD, make_rope
from .unknown import DESCRIPTIVE, READ, refuse_keys
from .values import flag, fraction, integer, number

Says = Mapping[str, Any]
Fields = dict[str, Any]
QKV = ("q_proj", "k_proj", "v_proj")
ATTENTION, FEED_FORWARD = (*QKV, "o_proj"), ("gate_proj", "up_proj", "down_proj")


def _rope(says: Says, fields: Fields) -> Fields:
    return {"ropes": (rope_from(says, fields),), "activation": activation_of(says)}


def _biases(says: Says) -> frozenset[str]:
    attention = ATTENTION if flag(says, "attention_bias", False) else ()
    return frozenset(attention + (FEED_FORWARD if flag(says, "mlp_bias", False) else ()))


def _whole_heads(fields: Fields) -> None:
    """transformers asks for it even where head_dim says another size."""
    if fields["hidden"] % fields["heads"]:
        raise ModelError(f"{fields['heads']} heads do not share 'hidden_size' {fields['hidden']} evenly: copy it again")


def _plain(says: Says, fields: Fields) -> Fields:
    return {**_rope(says, fields), "biases": _biases(says)}


def _llama(says: Says, fields: Fields) -> Fields:
    _whole_heads(fields)
    return _plain(says, fields)


def _window(says: Says) -> int:
    return 0 if says.get("sliding_window") is None else integer(says, "sliding_window")


def _mistral(says: Says, fields: Fields) -> Fields:
    return {**_rope(says, fields), "windows": (_window(says),) * fields["layers"]}


def _mixtral(says: Says, fields: Fields) -> Fields:
    experts = Experts(
        count=integer(says, "num_local_experts"),
        chosen=integer(says, "num_experts_per_tok"),
        inner=fields["inner"],
        layers=(True,) * fields["layers"],
    )
    found = _mistral(says, fields)
    if says.get("head_dim") is None and (kind := found["ropes"][0].kind) in ("yarn", "longrope"):
        raise ModelError(f"config.json has no 'head_dim', by which transformers computes {kind!r} here: add it")
    return {**found, "experts": _possible(experts)}


def _possible(experts: Experts) -> Experts:
    if experts.chosen > experts.count:
        raise ModelError(f"{experts.chosen} of {experts.count} experts cannot be chosen: copy the model again")
    return experts


def _upper_layers_slide(says: Says, fields: Fields) -> Fields:
    window = _window(says) if flag(says, "use_sliding_window", False) else 0
    first = integer(says, "max_window_layers", least=0) if window else fields["layers"]
    slides = [bool(window) and layer >= first for layer in range(fields["layers"])]
    return {"windows": windows_of(says, fields["layers"], window, slides)}


def _qwen2(says: Says, fields: Fields) -> Fields:
    return {**_rope(says, fields), **_upper_layers_slide(says, fields), "biases": frozenset(QKV)}


def _qwen2_vl(says: Says, fields: Fields) -> Fields:
    _whole_heads(fields)
    rope, pairs = dict(rope_of(says)), fields["head_dim"] // 2
    sections = rope.pop("mrope_section", None)
    whole = isinstance(sections, list) and len(sections) == 3 and all(type(n) is int and n >= 0 for n in sections)
    if not whole or sum(sections) != pairs:
        raise ModelError(f"mrope_section {sections} does not sum to half a head, {pairs}: copy the folder again")
    rope |= {name: "default" for name in ("type", "rope_type") if rope.get(name) == "mrope"}
    turned = rope_from(says, fields, rope)
    if turned.kind not in ("default", "yarn"):
        raise ModelError(f"rope scaling {turned.kind!r} is not computed with pictures' positions: take another model")
    return {
        **_qwen2({**says, "rope_scaling": None, "rope_parameters": None}, fields),
        "ropes": (turned,),
        "sections": tuple(sections),
    }


def _qwen3(says: Says, fields: Fields) -> Fields:
    return {**_plain(says, fields), **_upper_layers_slide(says, fields), "head_norms": True}


def _qwen3_moe(says: Says, fields: Fields) -> Fields:
    dense, step = says.get("mlp_only_layers", []), integer(says, "decoder_sparse_step")
    if not isinstance(dense, list) or any(type(layer) is not int for layer in dense):
        raise ModelError(f"config.json has 'mlp_only_layers': {dense!r}, no list of layers: copy the folder again")
    if None not in (names := (says.get("num_experts"), says.get("num_local_experts"))) and names[0] != names[1]:
        raise ModelError(f"config.json has {names[0]!r} 'num_experts' and {names[1]!r} 'num_local_experts': keep one")
    experts = Experts(
        count=integer(says, "num_experts" if "num_experts" in says else "num_local_experts"),
        chosen=integer(says, "num_experts_per_tok"),
        inner=integer(says, "moe_intermediate_size"),
        layers=tuple(layer not in dense and (layer + 1) % step == 0 for layer in range(fields["layers"])),
        renormalised=flag(says, "norm_topk_prob", False),
    )
    window = _window(says) if flag(says, "use_sliding_window", False) else 0
    windows = (window,) * fields["layers"]
    return {**_plain(says, fields), "windows": windows, "head_norms": True, "experts": _possible(experts)}


def _gemma(says: Says, fields: Fields) -> Fields:
    _whole_heads(fields)
    if says.get("use_bidirectional_attention"):
        raise ModelError(
            "config.json has 'use_bidirectional_attention', which is not computed here: take another model"
        )

    def cap(name: str) -> float:
        return 0.0 if says.get(name) is None else fraction(says, name, more_than=0)

    return {
        # transformers reads hidden_activation alone; older files have another hidden_act beside it.
        "activation": activation_of(says, ("hidden_activation",), "gelu_pytorch_tanh"),
        "biases": _biases(says),
        "sandwich": True,
        "score_scale": integer(says, "query_pre_attn_scalar") ** -0.5,
        "score_cap": cap("attn_logit_softcapping"),
        "logit_cap": cap("final_logit_softcapping"),
        "embedding_scale": fields["hidden"] ** 0.5,
    }


def _every(pattern: int, layers: int) -> list[bool]:
    """Whether each layer slides, where the last of every `pattern` does not."""
    return [bool((layer + 1) % pattern) for layer in range(layers)]


def _gemma2(says: Says, fields: Fields) -> Fields:
    windows = windows_of(says, fields["layers"], _window(says), _every(2, fields["layers"]))
    return {**_gemma(says, fields), "ropes": (rope_from(says, fields),), "windows": windows}


def _gemma3(says: Says, fields: Fields) -> Fields:
    pattern = integer(says, "sliding_window_pattern", 6)
    windows = windows_of(says, fields["layers"], _window(says), _every(pattern, fields["layers"]))
    size, context, rope = fields["head_dim"], fields["context"], rope_of(says)
    wide: Any = rope
    near: Any = {}
    if says.get("rope_parameters") is not None:  # newer files have one for each type of layer
        if set(rope) - {"full_attention", "sliding_attention"} or not rope or says.get("rope_scaling") is not None:
            raise ModelError(f"config.json's 'rope_parameters' are not of two types of layers: {sorted(rope)}")
        wide, near = rope.get("full_attention") or {}, rope.get("sliding_attention") or {}
    if not isinstance(wide, Mapping) or not isinstance(near, Mapping):
        raise ModelError("config.json's rope_parameters are no objects: copy the model's folder again")
    if any("type" in each and "rope_type" not in each for each in (wide, near)):  # as transformers reads it, is none
        raise ModelError("config.json's rope scaling has 'type' and no 'rope_type': write the second")
    if says.get("attn_logit_softcapping") is not None:  # which transformers reads and leaves aside
        cap = says["attn_logit_softcapping"]
        raise ModelError(f"config.json has 'attn_logit_softcapping': {cap!r}, which is none of Gemma 3's")
    ropes = (
        make_rope(wide, number(wide, "rope_theta", number(says, "rope_theta", more_than=0), 0), size, context),
        make_rope(
            near, number(near, "rope_theta", number(says, "rope_local_base_freq", more_than=0), 0), size, context
        ),
    )
    turned = tuple(int(window > 0) for window in windows)
    return {**_gemma(says, fields), "ropes": ropes, "turned": turned, "windows": windows, "head_norms": True}


def _phi3(says: Says, fields: Fields) -> Fields:
    rope = dict(rope_of(says))
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind in (names := ("yarn", "longrope")):  # Phi-3's first files have another; the old context stands outside
        rope |= {name: "longrope" for name in ("type", "rope_type") if rope.get(name) in names}
        rope[OLD] = integer(says, OLD)
    elif kind not in ("default", "su"):
        raise ModelError(f"rope scaling {kind!r} is none of Phi-3's: take another model")
    part = number(says, "partial_rotary_factor", rope.get("partial_rotary_factor", 1.0), more_than=0)
    if rope.get("partial_rotary_factor", part) not in (None, part):
        raise ModelError("config.json has two 'partial_rotary_factor', which differ: keep one of them")
    theta = number(rope, "rope_theta", fields["rope_theta"], 0)
    turned = make_rope(rope | {"partial_rotary_factor": part}, theta, fields["head_dim"], fields["context"], part)
    windows = (_window(says),) * fields["layers"]
    return {"ropes": (turned,), "activation": activation_of(says), "windows": windows}


def _smollm3(says: Says, fields: Fields) -> Fields:
    layers, step = fields["layers"], integer(says, "no_rope_layer_interval")
    turns = says.get("no_rope_layers")  # 1 where a layer has rope, whatever the name says
    if turns is None:
        turns = [int((layer + 1) % step != 0) for layer in range(layers)]
    if (
        not isinstance(turns, list)
        or len(turns) != layers
        or any(type(turn) is not int or turn not in (0, 1) for turn in turns)
    ):
        raise ModelError(f"config.json has 'no_rope_layers' that are not {layers} of 0 and 1: copy the folder again")
    window = _window(says) if flag(says, "use_sliding_window", False) else 0
    windows = windows_of(says, layers, window, [not turn for turn in turns])
    turned = tuple(0 if turn else -1 for turn in turns)
    return {**_plain(says, fields), "turned": turned, "windows": windows}


@dataclass(frozen=True)
class Family:
    """One architecture of config.json."""

    fields: Callable[[Says, Fields], Fields]  # of Config, beside the plain numbers
    keys: str  # of config.json, that it reads beside those of every family
    defaults: Mapping[str, Any] = field(default_factory=dict)
    null: str = ""  # keys that may be null, beside those of every family: transformers fails on any other


SLIDING = "use_sliding_window sliding_window max_window_layers layer_types"
SEEING = """
    vision_config image_token_id video_token_id vision_start_token_id vision_end_token_id vision_token_id
"""
QWEN_VL = {"num_key_value_heads": 8, "sliding_window": 4096, "max_window_layers": 80, "rms_norm_eps": 1e-5} | {
    "rope_theta": 1e6
}
GEMMA = """
    hidden_activation hidden_act attention_bias query_pre_attn_scalar sliding_window layer_types final_logit_softcapping
    attn_logit_softcapping use_bidirectional_attention
"""
GEMMA_DEFAULTS = {
    "head_dim": 256,
    "tie_word_embeddings": True,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "rms_norm_eps": 1e-6,
}
GEMMA_NULL = "hidden_act final_logit_softcapping attn_logit_softcapping use_bidirectional_attention"
ROUTER = "num_experts_per_tok num_local_experts output_router_logits router_aux_loss_coef router_jitter_noise"
FAMILIES: Mapping[str, Family] = {
    "LlamaForCausalLM": Family(
        _llama, "hidden_act attention_bias mlp_bias", {"rms_norm_eps": 1e-6}, "num_key_value_heads head_dim"
    ),
    "MistralForCausalLM": Family(
        _mistral,
        "hidden_act sliding_window",
        {"num_key_value_heads": 8, "sliding_window": 4096, "rms_norm_eps": 1e-6},
        "head_dim sliding_window",
    ),
    "MixtralForCausalLM": Family(
        _mixtral,
        f"hidden_act sliding_window {ROUTER}",
        {"num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2, "rope_theta": 1e6}
        | {"rms_norm_eps": 1e-5},
        "head_dim sliding_window",
    ),
    "Qwen2ForCausalLM": Family(
        _qwen2,
        f"hidden_act {SLIDING}",
        {"num_key_value_heads": 32, "sliding_window": 4096, "max_window_layers": 28, "rms_norm_eps": 1e-6},
        "sliding_window",
    ),
    "Qwen2VLForConditionalGeneration": Family(_qwen2_vl, f"hidden_act {SLIDING} {SEEING}", QWEN_VL, "sliding_window"),
    "Qwen2_5_VLForConditionalGeneration": Family(
        _qwen2_vl, f"hidden_act {SLIDING} {SEEING}", QWEN_VL, "sliding_window"
    ),
    "Qwen3ForCausalLM": Family(
        _qwen3,
        f"hidden_act attention_bias {SLIDING}",
        {"head_dim": 128, "num_key_value_heads": 32, "sliding_window": 4096, "max_window_layers": 28}
        | {"rms_norm_eps": 1e-6},
        "sliding_window",
    ),
    "Qwen3MoeForCausalLM": Family(
        _qwen3_moe,
        f"hidden_act attention_bias use_sliding_window sliding_window num_experts decoder_sparse_step norm_topk_prob "
        f"moe_intermediate_size mlp_only_layers {ROUTER}",
        {"num_key_value_heads": 4, "sliding_window": 4096, "num_experts_per_tok": 8, "moe_intermediate_size": 768}
        | {"decoder_sparse_step": 1, "rms_norm_eps": 1e-6},
        "sliding_window",
    ),
    "Gemma2ForCausalLM": Family(
        _gemma2,
        GEMMA,
        GEMMA_DEFAULTS | {"num_key_value_heads": 4, "final_logit_softcapping": 30.0, "attn_logit_softcapping": 50.0},
        GEMMA_NULL,
    ),
    "Gemma3ForCausalLM": Family(
        _gemma3,
        f"{GEMMA} rope_local_base_freq sliding_window_pattern",
        GEMMA_DEFAULTS | {"num_key_value_heads": 4, "rope_theta": 1e6, "rope_local_base_freq": 10000.0},
        GEMMA_NULL,
    ),
    "Phi3ForCausalLM": Family(
        _phi3,
        "hidden_act sliding_window original_max_position_embeddings partial_rotary_factor",
        {"original_max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "pad_token_id": 32000},
        "num_key_value_heads sliding_window",
    ),
    "SmolLM3ForCausalLM": Family(
        _smollm3,
        f"hidden_act attention_bias mlp_bias no_rope_layers no_rope_layer_interval {SLIDING}",
        {"num_key_value_heads": 4, "rope_theta": 2e6, "no_rope_layer_interval": 4, "tie_word_embeddings": True}
        | {"rms_norm_eps": 1e-6},
        "num_key_value_heads sliding_window max_window_layers no_rope_layers",
    ),
}


def family_of(config: Says) -> tuple[str, Family]:
    """The architecture that a config.json names. Raises ModelError for one that is unknown."""
    names = config.get("architectures")
    if not isinstance(names, list) or not names:
        names = [config.get("model_type", "?")]
    name = names[0]
    if not isinstance(name, str) or name not in FAMILIES:
        raise ModelError(f"architecture {name!r} is unknown here; there is {', '.join(FAMILIES)}")
    if (kind := config.get("model_type")) != MODEL_TYPES[name]:
        raise ModelError(f"config.json has the architecture {name!r} and 'model_type': {kind!r}: copy the folder again")
    return name, FAMILIES[name]


def from_hugging_face(config: Says) -> Config:
    """Read the dictionary of a `config.json`.

    Raises ModelError for another architecture, a missing number, and a key that changes the computation in a way that
    is not known here.
    """
    if not isinstance(config, Mapping):
        raise ModelError("config.json is no JSON object: copy the model's folder again")
    _, family = family_of(config)
    if family.fields is _qwen2_vl:
        config = flat(config)
    refuse_keys(config, family.keys.split())
    padding, size = config.get("pad_token_id", family.defaults.get("pad_token_id")), config.get("vocab_size")
    if type(padding) is int and type(size) is int and not -size <= padding < size:
        raise ModelError(f"config.json has 'pad_token_id': {padding}, which is none of {size} tokens: correct it")
    empty = [name for name, value in config.items() if value is None and name in (*READ.split(), *family.keys.split())]
    if wrong := [name for name in empty if name not in (*NULL, *family.null.split())]:
        raise ModelError(f"config.json has {wrong[0]!r}: None, where a value must be: copy the folder again")
    # A key with null is one that is missing, except where null says that there is none.
    says = {**family.defaults, **{name: value for name, value in config.items() if value is not None or name in NONE}}
    fields = plain_numbers(says)
    return Config(**{**fields, **family.fields(says, fields)})


def flat(config: Says) -> Says:
    """A config.json whose decoder's numbers are not nested in `text_config`, as newer files have them.

    Raises ModelError where a number stands both inside and outside, and differs.
    """
    inner = {} if config.get("text_config") is None else config["text_config"]
    if not isinstance(inner, Mapping):
        raise ModelError(f"config.json has 'text_config': {inner!r}, which is no object: copy the folder again")
    ropes = {"text_config", *(("rope_scaling", "rope_parameters") if any("rope_" in name for name in inner) else ())}
    outer = {name: value for name, value in config.items() if name not in ropes}
    own = {*DESCRIPTIVE.split(), *SEEING.split(), "model_type", "architectures", "tie_word_embeddings"}
    numbers = {name: value for name, value in inner.items() if name not in own}
    for name, value in numbers.items():
        if value is not None and outer.get(name, value) not in (value, None):
            raise ModelError(
                f"config.json has two {name!r}, which differ: {value!r} in text_config and {outer[name]!r}"
            )
    for name in outer if config.get("text_config") is not None else ():
        if name not in inner and name not in own and name in READ.split():  # transformers would take its default
            raise ModelError(f"config.json has {name!r} outside of text_config alone: write it there, too")
    return {**inner, **outer, **numbers}


MODEL_TYPES = {
    "Qwen2VLForConditionalGeneration": "qwen2_vl",
    "Qwen2_5_VLForConditionalGeneration": "qwen2_5_vl",
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "MixtralForCausalLM": "mixtral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "Qwen3MoeForCausalLM": "qwen3_moe",
    "Gemma2ForCausalLM": "gemma2",
    "Gemma3ForCausalLM": "gemma3_text",
    "Phi3ForCausalLM": "phi3",
    "SmolLM3ForCausalLM": "smollm3",
}
NULL = ("rope_scaling", "rope_parameters", "layer_types", "mlp_only_layers")
NONE = ("sliding_window", "final_logit_softcapping", "attn_logit_softcapping")
