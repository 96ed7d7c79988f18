"""What people write with labels, masks, channels and dropped axes becomes kernels and is right, on squares too.

On a square tensor rows and columns are equally long, so that axes which are mixed up would still fit.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

paddle = pytest.importorskip("paddle")
F = paddle.nn.functional
pytestmark = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("g++")), reason="kernels need gcc and g++")
U = 2.0**-24  # of float32
FUSED = Path("/proc/cpuinfo").is_file() and " fma " in Path("/proc/cpuinfo").read_text()
NUMBERS = np.random.default_rng(5)
LABELS = paddle.to_tensor(NUMBERS.integers(0, 16, 16))
SOME = paddle.to_tensor(np.where(NUMBERS.random(16) < 0.3, -100, NUMBERS.integers(0, 16, 16)))
OUTSIDE = paddle.to_tensor([16, -1, *range(14)])
KEPT = paddle.to_tensor(np.tril(np.ones((16, 16), "bool")))


@pytest.fixture(scope="module")
def compiler(load):
    paddle.set_device("cpu")
    return load("02-compiler/measure.py")


def mean_loss(x):
    return F.cross_entropy(x, LABELS)


def losses(x):
    return F.cross_entropy(x * 3, LABELS, reduction="none")


def summed_loss_of_some(x):
    return F.cross_entropy(x, SOME, reduction="sum")


def mean_loss_of_some(x):
    return F.cross_entropy(x, SOME, ignore_index=-100)


def loss_without_class_three(x):
    return F.cross_entropy(x, LABELS, ignore_index=3, reduction="none")


def kept_softmax(x):
    return F.softmax(paddle.where(KEPT, x, x * 0 - 1e9), axis=-1)


def two_bounds(x):
    return paddle.where(paddle.logical_or(x < -1, paddle.logical_not(x < 1)), x * x, x)


def no_nan(x):
    return paddle.where(paddle.isnan(x), paddle.zeros_like(x), x * 2)


def counted_above_mean(x):
    return (x * (x > x.mean(-1, keepdim=True)).astype("float32")).sum(-1)


def sums_of_rows_and_a_vector(x):
    return (x * x).sum(-1) + x[0] * 2


def row_means_times_row(x):
    return (x * x).mean(1) * paddle.exp(x.mean(1))


def absolute_error(x):
    return F.l1_loss(x * x, x)


def huber(x):
    return paddle.where(paddle.abs(x) < 1, 0.5 * x * x, paddle.abs(x) - 0.5).mean()


def normalised(x):
    return F.normalize(x, axis=-1)


def clipped(x):
    return F.hardtanh(x) + F.relu6(x * 4) + paddle.reciprocal(x * x + 1)


def entropy(x):
    return F.softmax(x, -1) * F.log_softmax(x, -1)


def summed_rows_and_labels(x):
    return F.cross_entropy(x.reshape([16, 1, 16]).sum(1), LABELS, ignore_index=3)


def weighted_loss(x):
    return F.cross_entropy(x, LABELS, weight=paddle.arange(16, dtype="float32"))


def a_mask_and_what_it_hides(x):
    above = (x > 0).astype("float32")
    return above * x, above + 1


SQUARE = [
    mean_loss, losses, summed_loss_of_some, mean_loss_of_some, loss_without_class_three, kept_softmax, two_bounds,
    no_nan, counted_above_mean, sums_of_rows_and_a_vector, row_means_times_row, absolute_error, huber, normalised,
    clipped, entropy, summed_rows_and_labels, weighted_loss, a_mask_and_what_it_hides,
]  # fmt: skip


def held(compiler, function, *arrays):
    """Whether result and gradients are within what float32 allows, and the report."""
    accuracy, tracing, hook = compiler.accuracy, compiler.tracing, compiler.generator.Generator("f")
    inputs = accuracy.tensors(arrays, "float32")
    shapes = [result.shape for result in accuracy.results_of(function(*inputs))]
    slopes = [NUMBERS.standard_normal(shape).astype("float32") for shape in map(tuple, shapes)]
    slopes = [np.asarray(slope, "float32") for slope in slopes]
    static, _ = tracing.to_static(function, inputs, hook)
    found = accuracy.evaluate(static, inputs, slopes, accuracy.parameters_of(function))
    usual = accuracy.plain(function, inputs, slopes)
    errors = accuracy.compare(found, usual, accuracy.reference(function, inputs, slopes), inputs)
    forward = errors.forward <= max(4 * errors.plain_forward, 32 * U)
    gradient = errors.gradient <= max(4 * errors.plain_gradient, (64 + 4 * errors.longest_sum**0.5) * U)
    return forward and gradient, hook.report


def normal(*shape):
    return NUMBERS.standard_normal(shape, dtype="float32")


@pytest.mark.parametrize("function", SQUARE)
def test_it_becomes_kernels_and_is_right(compiler, function):
    right, report = held(compiler, function, normal(16, 16))
    assert right and report.forward, report.left


class Block(paddle.nn.Layer):
    """A normalisation in evaluation, with statistics that are not its first ones, and what follows it."""

    def __init__(self, norm):
        super().__init__()
        self.norm = norm
        for parameter in norm.parameters():
            parameter.set_value(np.abs(normal(*parameter.shape)) + 0.5)
        norm.eval()

    def forward(self, x):
        return F.relu(self.norm(x)) * 2


NORMS = {
    "batch_norm": (lambda: paddle.nn.BatchNorm1D(8), (8, 8), 1),
    "batch_norm_of_images": (lambda: paddle.nn.BatchNorm2D(8), (4, 8, 8, 8), 1),
    "instance_norm": (lambda: paddle.nn.InstanceNorm2D(8), (8, 8, 8, 8), 1),
    "group_norm": (lambda: paddle.nn.GroupNorm(2, 8), (4, 8, 4, 4), 2),
    "group_norm_of_one_group": (lambda: paddle.nn.GroupNorm(1, 8), (4, 8, 6), 2),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms_over_channels_are_kernels_in_evaluation(compiler, name):
    make, shape, kernels = NORMS[name]
    right, report = held(compiler, Block(make()).forward, normal(*shape))
    assert right and len(report.forward) == kernels, report.left
    assert {name for name, _ in report.left} <= {"reshape"}


def groups_without_weights(x):
    return F.group_norm(x, 2)


def test_group_norm_without_weights_stays_with_paddle(compiler):
    """Its gradient is not that of float64 differences there, and nothing right would be equal to it."""
    hook = compiler.generator.Generator("f")
    inputs = compiler.accuracy.tensors([normal(4, 8, 4, 4)], "float32")
    _, partial = compiler.tracing.to_static(groups_without_weights, inputs, hook)
    assert partial.train_program and "group_norm" in dict(hook.report.left) and not hook.report.forward


def test_batch_norm_in_training_stays_with_paddle(compiler):
    norm = paddle.nn.BatchNorm1D(8)
    hook = compiler.generator.Generator("f")
    _, partial = compiler.tracing.to_static(norm.forward, compiler.accuracy.tensors([normal(4, 8)], "float32"), hook)
    assert partial.train_program and "batch_norm" in dict(hook.report.left)


def outside(x):
    return F.cross_entropy(x, OUTSIDE, reduction="none")


def test_a_label_that_is_no_class_is_no_number(compiler):
    """Paddle ends with an error there, which a kernel cannot."""
    call, _ = compiler.tracing.to_static(
        outside, compiler.accuracy.tensors([normal(16, 16)], "float32"), compiler.generator.Generator("f")
    )
    x = paddle.to_tensor(normal(16, 16), stop_gradient=False)
    found = call(x)
    (slope,) = paddle.grad(found, [x], paddle.ones_like(found))
    found, slope = found.numpy(), slope.numpy()
    assert np.isnan(found[:2]).all() and np.isfinite(found[2:]).all()
    assert np.isnan(slope[:2]).all() and np.isfinite(slope[2:]).all()


def times_labels(x):
    return x * LABELS.unsqueeze(-1).astype("float32")


def beside_a_large_number(x):
    large = LABELS.unsqueeze(-1) + 2**24
    return paddle.where(large == 2**24 + 1, x, x * 2)


@pytest.mark.parametrize("function", [times_labels, beside_a_large_number])
def test_whole_numbers_that_float32_may_not_hold_are_left_to_paddle(compiler, function):
    right, report = held(compiler, function, normal(16, 16))
    assert right and any("whole numbers" in why or "int64" in why for _, why in report.left), report.left


def losses_of_labels(x, labels):
    return F.cross_entropy(x, labels, reduction="none")


def in_groups(x, weight):
    return F.group_norm(x, 2, weight=weight)


def softened(x):
    return paddle.exp(x - x.max(-1, keepdim=True)) * 2


OPEN = {  # sizes that are not known, others, and how many kernels come of it
    "labels": (losses_of_labels, ([None, 16], [None]), 1),
    "labels of tokens": (losses_of_labels, ([None, None, 16], [None, None]), 1),
    "groups": (in_groups, ([None, 8, 4], [8]), 2),
    "rows of unknown length": (softened, ([None, None],), 0),
}


@pytest.mark.parametrize("name", OPEN)
def test_sizes_that_are_open_are_filled_at_each_call_or_refused(compiler, name):
    """Where rows are as many as their numbers, an axis that were taken for another would still fit."""
    function, sizes, kernels = OPEN[name]
    types = ["float32", "int64" if function is losses_of_labels else "float32"]
    spec = [
        paddle.static.InputSpec(list(shape), dtype, name=f"x{place}", stop_gradient=dtype == "int64")
        for place, (shape, dtype) in enumerate(zip(sizes, types, strict=False))
    ]
    hook = compiler.generator.Generator("f")
    call, _ = compiler.tracing.to_static(function, spec, hook)
    for rows in (1, 5, 16):
        shapes = [[rows if size in (None, -1) else size for size in shape] for shape in sizes]
        x = paddle.to_tensor(normal(*shapes[0]), stop_gradient=False)
        others = [paddle.to_tensor(NUMBERS.integers(0, 16, shape)).astype(types[1]) for shape in shapes[1:]]
        found, expected = call(x, *others), function(x, *others)
        slope = paddle.to_tensor(normal(*expected.shape))
        pairs = [(found, expected), (paddle.grad(found, [x], slope)[0], paddle.grad(expected, [x], slope)[0])]
        for one, other in pairs:
            assert float((one - other).abs().max()) <= 64 * U * float(other.abs().max() + 1)
    assert len(hook.report.forward) == kernels, hook.report.left


def below_the_largest(x, y):
    product = paddle.abs(x) * y
    return paddle.abs(product - product.max(-1, keepdim=True)) + y


def test_the_largest_product_is_exactly_the_maximum(compiler, monkeypatch):
    """There |x| has a step, and the product that is rounded is not the one that a fused multiply-add does not round."""
    arrays = [np.random.default_rng(seed).standard_normal((64, 7), dtype="float32") for seed in (0, 1)]
    right, report = held(compiler, below_the_largest, *arrays)
    assert right, report.left
    monkeypatch.setattr(compiler.generator.emission, "EXACT", "")
    assert not (FUSED and report.whole) or not held(compiler, below_the_largest, *arrays)[0]


def test_rows_without_a_loss_that_are_not_left_out_are_seen(compiler, monkeypatch):
    monkeypatch.setattr(compiler.generator.lowering.composites.Labels, "held", lambda self, value: value)
    assert not held(compiler, summed_loss_of_some, normal(16, 16))[0]


def test_a_norm_with_another_formula_is_seen(compiler, monkeypatch):
    plain = compiler.generator.expansion.normalised
    wrong = lambda x, axes, epsilon: plain(x, axes, 2 * epsilon)  # noqa: E731
    monkeypatch.setattr(compiler.generator.expansion, "normalised", wrong)
    assert not held(compiler, Block(paddle.nn.GroupNorm(2, 8)).forward, 0.01 * normal(4, 8, 4, 4))[0]
