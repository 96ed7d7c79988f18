"""Layers without weights: activations, pools, losses, pads."""

from . import functions
from .layers import _sides
from .modules import Module


def _of(name, *fields, **defaults):
    """A layer without weights that calls a function of functions.py with its own settings."""

    def begin(self, *given, **named):
        Module.__init__(self)
        settings = dict(defaults)
        unknown = set(named) - set(fields)
        if unknown or len(given) > len(fields):
            raise TypeError(f"{name}: unexpected {', '.join(sorted(unknown)) or given}")
        settings.update(zip(fields, given, strict=False))
        settings.update(named)
        for key, value in settings.items():
            setattr(self, key, value)
        self._settings = list(settings)

    def forward(self, *inputs):
        settings = {key: getattr(self, key) for key in self._settings}
        return getattr(functions, function)(*inputs, **settings)

    function = _of.names.get(name) or name
    return type(name, (Module,), {"__init__": begin, "forward": forward})


_of.names = {
    "ReLU": "relu", "ReLU6": "relu6", "GELU": "gelu", "SiLU": "silu", "ELU": "elu", "SELU": "selu", "CELU": "celu",
    "LeakyReLU": "leaky_relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Softsign": "softsign",
    "Hardtanh": "hardtanh", "Hardswish": "hardswish", "Hardsigmoid": "hardsigmoid", "Mish": "mish", "GLU": "glu",
    "Softmax": "softmax", "LogSoftmax": "log_softmax", "Softmin": "softmin", "LogSigmoid": "logsigmoid",
    "Tanhshrink": "tanhshrink", "Softshrink": "softshrink", "Hardshrink": "hardshrink", "Threshold": "threshold",
    "Flatten": "flatten", "Unflatten": "unflatten", "MaxPool1d": "max_pool1d", "MaxPool2d": "max_pool2d",
    "MaxPool3d": "max_pool3d", "AvgPool1d": "avg_pool1d", "AvgPool2d": "avg_pool2d", "AvgPool3d": "avg_pool3d",
    "AdaptiveAvgPool1d": "adaptive_avg_pool1d", "AdaptiveAvgPool2d": "adaptive_avg_pool2d",
    "AdaptiveMaxPool1d": "adaptive_max_pool1d", "AdaptiveMaxPool2d": "adaptive_max_pool2d",
    "LocalResponseNorm": "local_response_norm", "LPPool1d": "lp_pool1d", "LPPool2d": "lp_pool2d",
    "Upsample": "interpolate", "PixelShuffle": "pixel_shuffle", "PixelUnshuffle": "pixel_unshuffle",
    "CosineSimilarity": "cosine_similarity", "PairwiseDistance": "pairwise_distance",
    "CrossEntropyLoss": "cross_entropy", "NLLLoss": "nll_loss", "MSELoss": "mse_loss", "L1Loss": "l1_loss",
    "SmoothL1Loss": "smooth_l1_loss", "HuberLoss": "huber_loss", "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits", "KLDivLoss": "kl_div",
    "MarginRankingLoss": "margin_ranking_loss", "HingeEmbeddingLoss": "hinge_embedding_loss",
    "CosineEmbeddingLoss": "cosine_embedding_loss", "TripletMarginLoss": "triplet_margin_loss",
    "TripletMarginWithDistanceLoss": "triplet_margin_with_distance_loss",
    "SoftMarginLoss": "soft_margin_loss", "PoissonNLLLoss": "poisson_nll_loss", "GaussianNLLLoss": "gaussian_nll_loss",
}  # fmt: skip

ReLU, ReLU6, SiLU, SELU, Mish = (_of(name, "inplace") for name in ("ReLU", "ReLU6", "SiLU", "SELU", "Mish"))
Hardswish, Hardsigmoid = _of("Hardswish", "inplace"), _of("Hardsigmoid", "inplace")
Sigmoid, Tanh, Softsign, LogSigmoid, Tanhshrink = map(_of, ("Sigmoid", "Tanh", "Softsign", "LogSigmoid", "Tanhshrink"))
GELU, ELU, CELU = _of("GELU", "approximate"), _of("ELU", "alpha", "inplace"), _of("CELU", "alpha", "inplace")
LeakyReLU = _of("LeakyReLU", "negative_slope", "inplace")
Softplus, Hardtanh = _of("Softplus", "beta", "threshold"), _of("Hardtanh", "min_val", "max_val", "inplace")
Softshrink, Hardshrink = _of("Softshrink", "lambd"), _of("Hardshrink", "lambd")
Threshold = _of("Threshold", "threshold", "value", "inplace")
GLU, Softmax, LogSoftmax, Softmin = (_of(name, "dim") for name in ("GLU", "Softmax", "LogSoftmax", "Softmin"))
Flatten, Unflatten = _of("Flatten", "start_dim", "end_dim", start_dim=1), _of("Unflatten", "dim", "sizes")
_POOL = ("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode")
MaxPool1d, MaxPool2d, MaxPool3d = (_of(f"MaxPool{axes}d", *_POOL) for axes in (1, 2, 3))
AvgPool1d = _of("AvgPool1d", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
_POOL = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
AvgPool2d, AvgPool3d = _of("AvgPool2d", *_POOL), _of("AvgPool3d", *_POOL)
AdaptiveAvgPool1d, AdaptiveAvgPool2d = _of("AdaptiveAvgPool1d", "output_size"), _of("AdaptiveAvgPool2d", "output_size")
AdaptiveMaxPool1d, AdaptiveMaxPool2d = _of("AdaptiveMaxPool1d", "output_size"), _of("AdaptiveMaxPool2d", "output_size")
LocalResponseNorm = _of("LocalResponseNorm", "size", "alpha", "beta", "k")
LPPool1d, LPPool2d = (_of(f"LPPool{axes}d", "norm_type", "kernel_size", "stride", "ceil_mode") for axes in (1, 2))
Upsample = _of("Upsample", "size", "scale_factor", "mode", "align_corners")
PixelShuffle, PixelUnshuffle = _of("PixelShuffle", "upscale_factor"), _of("PixelUnshuffle", "downscale_factor")
CosineSimilarity, PairwiseDistance = (
    _of("CosineSimilarity", "dim", "eps"),
    _of("PairwiseDistance", "p", "eps", "keepdim"),
)
_OLD = ("size_average", "reduce", "reduction")
CrossEntropyLoss = _of(
    "CrossEntropyLoss", "weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing"
)
NLLLoss = _of("NLLLoss", "weight", "size_average", "ignore_index", "reduce", "reduction")
MSELoss, L1Loss = _of("MSELoss", *_OLD), _of("L1Loss", *_OLD)
SmoothL1Loss, HuberLoss = _of("SmoothL1Loss", *_OLD, "beta"), _of("HuberLoss", "reduction", "delta")
BCELoss = _of("BCELoss", "weight", *_OLD)
BCEWithLogitsLoss = _of("BCEWithLogitsLoss", "weight", *_OLD, "pos_weight")
KLDivLoss = _of("KLDivLoss", *_OLD, "log_target")
MarginRankingLoss, HingeEmbeddingLoss = (
    _of("MarginRankingLoss", "margin", *_OLD),
    _of("HingeEmbeddingLoss", "margin", *_OLD),
)
CosineEmbeddingLoss, SoftMarginLoss = _of("CosineEmbeddingLoss", "margin", *_OLD), _of("SoftMarginLoss", *_OLD)
TripletMarginLoss = _of("TripletMarginLoss", "margin", "p", "eps", "swap", *_OLD)
TripletMarginWithDistanceLoss = _of("TripletMarginWithDistanceLoss", "distance_function", "margin", "swap", "reduction")


class _Pad(Module):
    axes, mode = 2, "constant"

    def __init__(self, padding, value=0.0):
        super().__init__()
        self.padding, self.value = tuple(_sides(padding, 2 * self.axes)), value

    def forward(self, input):
        return functions.pad(input, self.padding, self.mode, self.value)


for _mode, _title in (
    ("constant", "Zero"),
    ("constant", "Constant"),
    ("reflect", "Reflection"),
    ("replicate", "Replication"),
):
    for _axes in (1, 2, 3):
        globals()[f"{_title}Pad{_axes}d"] = type(f"{_title}Pad{_axes}d", (_Pad,), {"axes": _axes, "mode": _mode})


PoissonNLLLoss = _of("PoissonNLLLoss", "log_input", "full", "size_average", "eps", "reduce", "reduction")
GaussianNLLLoss = _of("GaussianNLLLoss", "full", "eps", "reduction")


class _Einops(Module):
    """A layer of einops: its function of this name, by a pattern and the sizes of axes."""

    def __init__(self, *given, **axes):
        super().__init__()
        self.given, self.axes = given, axes

    def forward(self, input):
        import einops

        return getattr(einops, type(self).__name__.lower())(input, *self.given, **self.axes)


class Rearrange(_Einops):
    pass


class Reduce(_Einops):
    pass
