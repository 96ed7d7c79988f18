"""The numbers of a vision tower, from the `vision_config` of a config.json, and the tensors that it has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ModelError
from .unknown import refuse_settings
from .values import integer, shown

Says = Mapping[str, Any]
Shapes = dict[str, tuple[int, ...]]
FILE = "config.json's vision_config"
READ = (
    "depth num_heads patch_size spatial_merge_size temporal_patch_size model_type initializer_range torch_dtype dtype"
)
SAYS: Mapping[str, tuple[Any, ...]] = {
    "in_channels": (3,),
    "in_chans": (3,),
    "rope_parameters": ({"rope_type": "axial", "rope_theta": 10000.0},),
}


@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """What fixes a vision tower."""

    depth: int
    width: int
    heads: int
    inner: int  # width between the projections of the feed-forward network
    hidden: int  # of the decoder
    patch: int  # pixels
    merge: int  # patches down and across that become one token
    times: int  # moments of a film in a patch
    gated: bool = False  # RMSNorm and a gated feed-forward network; otherwise LayerNorm, and "quick" GELU
    window: int = 0  # tokens down and across whose patches attend to each other alone; 0: all do
    whole: frozenset[int] = frozenset()  # the blocks in which all do nevertheless

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width // self.heads % 4:
            raise ModelError(f"{self.heads} heads of a vision tower of {self.width}: each must have whole fours of it")

    @property
    def size(self) -> int:
        """Numbers of a head."""
        return self.width // self.heads

    def shapes(self) -> Shapes:
        """Every tensor of the tower."""
        merged = self.width * self.merge**2

        def linear(name: str, outputs: int, inputs: int) -> Shapes:
            return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}

        def norm(name: str) -> Shapes:
            return {f"{name}.{each}": (self.width,) for each in (("weight",) if self.gated else ("weight", "bias"))}

        shapes: Shapes = {"visual.patch_embed.proj.weight": (self.width, 3, self.times, self.patch, self.patch)}
        for each in range(self.depth):
            block = f"visual.blocks.{each}."
            shapes |= norm(block + "norm1") | norm(block + "norm2")
            shapes |= linear(block + "attn.qkv", 3 * self.width, self.width)
            shapes |= linear(block + "attn.proj", self.width, self.width)
            first, last = (("gate_proj", "up_proj"), "down_proj") if self.gated else (("fc1",), "fc2")
            for name in first:
                shapes |= linear(f"{block}mlp.{name}", self.inner, self.width)
            shapes |= linear(f"{block}mlp.{last}", self.width, self.inner)
        shapes |= norm("visual.merger.ln_q") | linear("visual.merger.mlp.0", merged, merged)
        return shapes | linear("visual.merger.mlp.2", self.hidden, merged)


def _numbers(says: Says) -> dict[str, Any]:
    fields = {"depth": "depth", "heads": "num_heads", "patch": "patch_size"}
    fields |= {"merge": "spatial_merge_size", "times": "temporal_patch_size"}
    return {field: integer(says, name) for field, name in fields.items()}


def _qwen2_vl(says: Says) -> VisionConfig:
    known = (*READ.split(), "embed_dim", "hidden_size", "mlp_ratio")
    refuse_settings(FILE, says, known, {**SAYS, "hidden_act": ("quick_gelu",), **_patches(says)})
    width = integer(says, "embed_dim")
    inner = width * integer(says, "mlp_ratio", 4)
    return VisionConfig(width=width, inner=inner, hidden=integer(says, "hidden_size"), **_numbers(says))


def _qwen2_5_vl(says: Says) -> VisionConfig:
    own = ("hidden_size", "out_hidden_size", "intermediate_size", "window_size", "fullatt_block_indexes")
    known = (*READ.split(), *own, "tokens_per_second")  # the last is of films
    refuse_settings(FILE, says, known, {**SAYS, "hidden_act": ("silu",), **_patches(says)})
    fields, whole = _numbers(says), says.get("fullatt_block_indexes", [7, 15, 23, 31])
    if not isinstance(whole, list) or any(type(block) is not int for block in whole):
        raise ModelError(f"{FILE} has 'fullatt_block_indexes': {whole!r}, no list of blocks: copy the folder again")
    return VisionConfig(
        width=integer(says, "hidden_size"),
        inner=integer(says, "intermediate_size"),
        hidden=integer(says, "out_hidden_size"),
        gated=True,
        # Whole tokens of so many pixels.
        window=integer(says, "window_size", 112, fields["merge"] * fields["patch"])
        // fields["merge"]
        // fields["patch"],
        whole=frozenset(whole),
        **fields,
    )


def _patches(says: Says) -> dict[str, tuple[Any, ...]]:
    return {"spatial_patch_size": (says.get("patch_size"),)}


TOWERS: Mapping[str, Callable[[Says], VisionConfig]] = {
    "Qwen2VLForConditionalGeneration": _qwen2_vl,
    "Qwen2_5_VLForConditionalGeneration": _qwen2_5_vl,
}


def vision_config(architecture: str, says: Any) -> VisionConfig:
    """Of the `vision_config` of a model of this architecture. Raises ModelError for what is not computed here."""
    if not isinstance(says, Mapping):
        raise ModelError(
            "config.json has no 'vision_config', which says what the vision tower is: copy the folder again"
        )
    for name, value in says.items():
        if value is None or (name == "tokens_per_second" and type(value) is not int):
            raise ModelError(f"{FILE} has {name!r}: {shown(value)}, which is no value of it: copy the folder again")
    return TOWERS[architecture](says)
