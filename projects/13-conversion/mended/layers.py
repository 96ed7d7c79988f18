"""Layers whose weights lie, start and are named as PyTorch's."""

import math

import paddle
import paddle.nn.functional as F

from . import chance, functions, starts
from .kinds import get_default_dtype
from .modules import Module, Parameter


def _weight(*shape, dtype=None):
    return Parameter(paddle.zeros(list(shape), dtype or get_default_dtype()))


class Linear(Module):
    def __init__(self, in_features, out_features, bias=True, device=None, dtype=None):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = _weight(out_features, in_features, dtype=dtype)
        self.bias = _weight(out_features, dtype=dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self):
        starts.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0
            starts.uniform_(self.bias, -bound, bound)

    def forward(self, input):
        return functions.linear(input, self.weight, self.bias)

    def extra_repr(self):
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    def __init__(self, in1_features, in2_features, out_features, bias=True, device=None, dtype=None):
        super().__init__()
        self.weight = _weight(out_features, in1_features, in2_features, dtype=dtype)
        self.bias = _weight(out_features, dtype=dtype) if bias else None
        bound = 1 / math.sqrt(in1_features)
        starts.uniform_(self.weight, -bound, bound)
        if bias:
            starts.uniform_(self.bias, -bound, bound)

    def forward(self, input1, input2):
        found = paddle.einsum("...i,oij,...j->...o", input1, self.weight, input2)
        return found if self.bias is None else found + self.bias


class Identity(Module):
    def __init__(self, *_, **__):
        super().__init__()

    def forward(self, input):
        return input


class Embedding(Module):
    def __init__(
        self, num_embeddings, embedding_dim, padding_idx=None, max_norm=None, norm_type=2.0,
        scale_grad_by_freq=False, sparse=False, _weight=None, device=None, dtype=None,
    ):  # fmt: skip
        super().__init__()
        if max_norm is not None or scale_grad_by_freq:
            raise NotImplementedError("Embedding with max_norm or scale_grad_by_freq")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx if padding_idx is None else padding_idx % num_embeddings
        if _weight is None:
            self.weight = Parameter(paddle.zeros([num_embeddings, embedding_dim], dtype or get_default_dtype()))
            self.reset_parameters()
        else:
            self.weight = Parameter(_weight)

    def reset_parameters(self):
        starts.normal_(self.weight)
        if self.padding_idx is not None:
            with paddle.no_grad():
                self.weight[self.padding_idx] = 0.0

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, padding_idx=None, **_):
        made = cls(*embeddings.shape, padding_idx=padding_idx, _weight=embeddings)
        made.weight.stop_gradient = freeze
        return made

    def forward(self, input):
        return functions.embedding(input, self.weight, self.padding_idx)


def _sides(value, axes):
    return [value] * axes if isinstance(value, int) else list(value)


class _Conv(Module):
    axes, transposed = 2, False

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
        padding_mode="zeros", device=None, dtype=None,
    ):  # fmt: skip
        super().__init__()
        self._set(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        self.weight = _weight(out_channels, in_channels // groups, *self.kernel_size, dtype=dtype)
        self.bias = _weight(out_channels, dtype=dtype) if bias else None
        self.reset_parameters()

    def _set(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode):
        if padding_mode not in ("zeros", "circular", "reflect", "replicate"):
            raise ValueError(f"padding_mode={padding_mode!r}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = tuple(_sides(kernel_size, self.axes)), tuple(_sides(stride, self.axes))
        self.dilation, self.padding_mode = tuple(_sides(dilation, self.axes)), padding_mode
        self.padding = padding if isinstance(padding, str) else tuple(_sides(padding, self.axes))

    def reset_parameters(self):
        starts.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan = self.weight.shape[1] * math.prod(self.kernel_size)
            starts.uniform_(self.bias, -1 / math.sqrt(fan), 1 / math.sqrt(fan))

    def forward(self, input):
        padding = self.padding
        if self.padding_mode != "zeros":
            if padding == "same":
                wide = [step * (side - 1) for step, side in zip(self.dilation, self.kernel_size, strict=True)]
                pads = [each for side in reversed(wide) for each in (side // 2, side - side // 2)]
            else:
                pads = [each for side in reversed(padding) for each in (side, side)]
            input, padding = functions.pad(input, pads, self.padding_mode), 0
        return functions.conv(self.axes)(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class Conv1d(_Conv):
    axes = 1


class Conv2d(_Conv):
    axes = 2


class Conv3d(_Conv):
    axes = 3


class _ConvTranspose(_Conv):
    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True,
        dilation=1, padding_mode="zeros", device=None, dtype=None,
    ):  # fmt: skip
        Module.__init__(self)
        self._set(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        self.output_padding = tuple(_sides(output_padding, self.axes))
        self.weight = _weight(in_channels, out_channels // groups, *self.kernel_size, dtype=dtype)
        self.bias = _weight(out_channels, dtype=dtype) if bias else None
        self.reset_parameters()

    def forward(self, input, output_size=None):
        if output_size is not None:
            raise NotImplementedError("ConvTranspose with output_size")
        return functions.conv_transpose(self.axes)(
            input, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )


class ConvTranspose1d(_ConvTranspose):
    axes = 1


class ConvTranspose2d(_ConvTranspose):
    axes = 2


class ConvTranspose3d(_ConvTranspose):
    axes = 3


class _BatchNorm(Module):
    """Paddle's running variance is biased; PyTorch's is not, and this keeps it so."""

    def __init__(
        self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None, dtype=None
    ):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        kind = dtype or get_default_dtype()
        self.weight = Parameter(paddle.ones([num_features], kind)) if affine else None
        self.bias = Parameter(paddle.zeros([num_features], kind)) if affine else None
        if track_running_stats:
            self.register_buffer("running_mean", paddle.zeros([num_features], kind))
            self.register_buffer("running_var", paddle.ones([num_features], kind))
            self.register_buffer("num_batches_tracked", paddle.zeros([], "int64"))
        else:
            self.running_mean = self.running_var = self.num_batches_tracked = None

    def reset_running_stats(self):
        if self.track_running_stats:
            starts.zeros_(self.running_mean), starts.ones_(self.running_var)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        self.reset_running_stats()
        if self.affine:
            starts.ones_(self.weight), starts.zeros_(self.bias)

    def forward(self, input):
        momentum = self.momentum
        if self.training and self.track_running_stats:
            with paddle.no_grad():
                self.num_batches_tracked.add_(paddle.ones([], "int64"))
            momentum = 1.0 / float(self.num_batches_tracked) if momentum is None else momentum
        use = self.training or self.running_mean is None
        return functions.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, use, momentum or 0.0, self.eps
        )


class BatchNorm1d(_BatchNorm):
    pass


class BatchNorm2d(_BatchNorm):
    pass


class BatchNorm3d(_BatchNorm):
    pass


class _InstanceNorm(_BatchNorm):
    def __init__(
        self, num_features, eps=1e-5, momentum=0.1, affine=False, track_running_stats=False, device=None, dtype=None
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)

    def forward(self, input):
        use = self.training or self.running_mean is None
        return functions.instance_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, use, self.momentum, self.eps
        )


class InstanceNorm1d(_InstanceNorm):
    pass


class InstanceNorm2d(_InstanceNorm):
    pass


class InstanceNorm3d(_InstanceNorm):
    pass


class LayerNorm(Module):
    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, device=None, dtype=None):
        super().__init__()
        shape = [normalized_shape] if isinstance(normalized_shape, int) else list(normalized_shape)
        self.normalized_shape, self.eps = tuple(shape), eps
        self.weight = Parameter(paddle.ones(shape, dtype or get_default_dtype())) if elementwise_affine else None
        self.bias = (
            Parameter(paddle.zeros(shape, dtype or get_default_dtype())) if elementwise_affine and bias else None
        )

    def forward(self, input):
        return functions.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(Module):
    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None):
        super().__init__()
        shape = [normalized_shape] if isinstance(normalized_shape, int) else list(normalized_shape)
        self.normalized_shape, self.eps = tuple(shape), eps
        self.weight = Parameter(paddle.ones(shape, dtype or get_default_dtype())) if elementwise_affine else None

    def forward(self, input):
        return functions.rms_norm(input, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Module):
    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, device=None, dtype=None):
        super().__init__()
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = Parameter(paddle.ones([num_channels], dtype or get_default_dtype())) if affine else None
        self.bias = Parameter(paddle.zeros([num_channels], dtype or get_default_dtype())) if affine else None

    def forward(self, input):
        return functions.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


class _Dropout(Module):
    drop = staticmethod(chance.dropout)

    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        self.p, self.inplace = p, inplace

    def forward(self, input):
        return type(self).drop(input, self.p, self.training, self.inplace)

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    pass


class Dropout1d(_Dropout):
    drop = staticmethod(chance.dropout2d)


class Dropout2d(Dropout1d):
    pass


class Dropout3d(Dropout1d):
    pass


class AlphaDropout(_Dropout):
    drop = staticmethod(chance.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    drop = staticmethod(chance.feature_alpha_dropout)


class RReLU(Module):
    def __init__(self, lower=1.0 / 8, upper=1.0 / 3, inplace=False):
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input):
        return chance.rrelu(input, self.lower, self.upper, self.training, self.inplace)


class PReLU(Module):
    def __init__(self, num_parameters=1, init=0.25, device=None, dtype=None):
        super().__init__()
        self.weight = Parameter(paddle.full([num_parameters], init))

    def forward(self, input):
        return F.prelu(input, self.weight)
