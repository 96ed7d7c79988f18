"""How PyTorch prints a module: its class, its settings and what is in it."""

import itertools

NAMED = {
    "LeakyReLU": {"negative_slope": 0.01}, "GELU": {"approximate": "none"}, "ELU": {"alpha": 1.0},
    "CELU": {"alpha": 1.0}, "Hardtanh": {"min_val": -1.0, "max_val": 1.0}, "Softplus": {"beta": 1.0, "threshold": 20.0},
    "Softmax": {"dim": None}, "LogSoftmax": {"dim": None}, "Softmin": {"dim": None}, "GLU": {"dim": -1},
    "Threshold": {"threshold": None, "value": None}, "Flatten": {"start_dim": 1, "end_dim": -1},
    "PixelShuffle": {"upscale_factor": None}, "PixelUnshuffle": {"downscale_factor": None},
    **{f"MaxPool{n}d": {"kernel_size": None, "stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}
       for n in (1, 2, 3)},
    **{f"AvgPool{n}d": {"kernel_size": None, "stride": None, "padding": 0} for n in (1, 2, 3)},
    **{f"Adaptive{kind}Pool{n}d": {"output_size": None} for kind in ("Avg", "Max") for n in (1, 2)},
}  # fmt: skip


def _biased(self):
    return self.bias is not None


def _embedding(self):
    padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
    return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


def _conv(self):
    said = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
    axes = len(self.kernel_size)
    given = {"padding": (0,) * axes, "dilation": (1,) * axes, "output_padding": (0,) * axes, "groups": 1}
    more = [(name, getattr(self, name, usual)) for name, usual in given.items() if getattr(self, name, usual) != usual]
    more += [] if _biased(self) else [("bias", False)]
    more += [] if self.padding_mode == "zeros" else [("padding_mode", self.padding_mode)]
    return said + "".join(f", {name}={value}" for name, value in more)


def _batch_norm(self):
    said = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, bias={_biased(self)}"
    return f"{said}, track_running_stats={self.track_running_stats}"


def _recurrent(self):
    usual = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
    more = [f", {name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
    return f"{self.input_size}, {self.hidden_size}{''.join(more)}"


def _pad(self):
    constant = type(self).__name__.startswith("Constant")
    return f"padding={self.padding}, value={self.value}" if constant else f"{self.padding}"


def _upsample(self):
    size, factor = getattr(self, "size", None), getattr(self, "scale_factor", None)
    factor = float(factor) if isinstance(factor, int) else factor
    said = f"size={size}" if size is not None else f"scale_factor={factor}"
    return f"{said}, mode={getattr(self, 'mode', 'nearest')!r}"


OWN = {
    "Upsample": _upsample,
    "Embedding": _embedding, "_Conv": _conv, "_BatchNorm": _batch_norm, "_Recurrent": _recurrent, "_Pad": _pad,
    "LayerNorm": lambda self: f"{self.normalized_shape}, eps={self.eps}, elementwise_affine="
                              f"{self.weight is not None}, bias={_biased(self)}",
    "RMSNorm": lambda self: f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}",
    "GroupNorm": lambda self: f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine="
                              f"{self.weight is not None}, bias={_biased(self)}",
    "_Cell": lambda self: f"{self.weight_ih.shape[1]}, {self.hidden_size}",
    "PReLU": lambda self: f"num_parameters={self.weight.shape[0]}",
    "Softshrink": lambda self: f"{getattr(self, 'lambd', 0.5)}",
    "Hardshrink": lambda self: f"{getattr(self, 'lambd', 0.5)}",
    "Unflatten": lambda self: f"dim={self.dim}, unflattened_size={self.sizes}",
    "Bilinear": lambda self: f"in1_features={self.weight.shape[1]}, in2_features={self.weight.shape[2]}, out_features="
                             f"{self.weight.shape[0]}, bias={_biased(self)}",
}  # fmt: skip


def extra(self):
    """The settings, as PyTorch writes them."""
    for kind in type(self).__mro__:
        if kind.__name__ in OWN:
            return OWN[kind.__name__](self)
        if kind.__name__ in NAMED:
            found = {name: getattr(self, name, usual) for name, usual in NAMED[kind.__name__].items()}
            if "stride" in found:
                found["stride"] = found["stride"] or found["kernel_size"]
            if kind.__name__ == "AvgPool1d":
                found = {name: (value,) if isinstance(value, int) else value for name, value in found.items()}
            return ", ".join([f"{n}={v!r}" for n, v in found.items()] + ["inplace=True"] * getattr(self, "inplace", 0))
    return "inplace=True" if getattr(self, "inplace", False) else ""


def _children(self):
    """One line each; equal ones of a list together."""
    shown = [(name, repr(child).replace("\n", "\n  ")) for name, child in self._sub_layers.items()]
    if type(self).__name__ != "ModuleList":
        return [f"({name}): {text}" for name, text in shown]
    found = []
    for text, same in itertools.groupby(shown, key=lambda each: each[1]):
        names = [name for name, _ in same]
        together = f"({names[0]}-{names[-1]}): {len(names)} x {text}" if len(names) > 1 else f"({names[0]}): {text}"
        found.append(together)
    return found


def text(self):
    settings, inside = self.extra_repr(), _children(self)
    if inside:
        settings = "\n  " + "\n  ".join([*([settings] if settings else []), *inside]) + "\n"
    return f"{type(self).__name__}({settings})"
