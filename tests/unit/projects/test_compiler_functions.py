"""Parts 2-1 and 2-3 on anyone's function: what people write is compiled and right, or refused with the true reason."""

import shutil

import numpy as np
import pytest

paddle = pytest.importorskip("paddle")
pytest.importorskip("matplotlib")
F = paddle.nn.functional
pytestmark = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("g++")), reason="kernels need gcc and g++")


class Block(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.norm, self.linear = paddle.nn.LayerNorm(32), paddle.nn.Linear(32, 32)

    def forward(self, x):
        return F.gelu(self.norm(x), approximate=True) * F.sigmoid(self.linear(x))


def masked(x):
    below = paddle.tril(paddle.ones([x.shape[0], x.shape[1]]))
    return F.softmax(paddle.where(below > 0, x, paddle.full_like(x, -1e9)), axis=-1)


def variance(x):
    return (x - x.mean(-1, keepdim=True)) / paddle.sqrt(x.var(-1, keepdim=True) + 1e-5)


def deviation(x):
    return x / (x.std(-1, keepdim=True) + 1e-5)


def variance_over_rows(x):
    return x / paddle.sqrt(x.var(0, keepdim=True) + 1e-5)


def masked_fill(x):
    return paddle.masked_fill(x, x > 0, 0.0) + x * x


def where(x):
    return paddle.where(x > 0, x * x, paddle.zeros_like(x))


def log_softmax(x):
    return F.log_softmax(x, axis=-1)


def logsumexp(x):
    return x - paddle.logsumexp(x, axis=-1, keepdim=True)


def logsumexp_dropped_axis(x):
    return paddle.logsumexp(x * 2, axis=-1)


def gelu_by_tanh(x):
    return F.gelu(x, approximate=True)


def softplus(x):
    return F.softplus(x, beta=2.0, threshold=3.0)


def clip(x):
    return paddle.clip(x, -1.0, 1.0) * x


def powers(x):
    return x**3 + paddle.pow(x, 2) + (x * x + 1) ** -0.5 + (x * x + 1) ** -2


def square(x):
    return F.mse_loss(x, paddle.zeros_like(x))


def a_tuple(x):
    return (x * 2, paddle.exp(-x * x))


def a_dictionary(x):
    return {"a": x * 2 + 1, "more": [F.sigmoid(x), x * x]}


def a_result_without_gradient(x):
    return (x * x + 1, (x > 0).astype("float32") * 2)


def halves(x):
    a, b = paddle.chunk(x, 2, axis=-1)
    return a * F.sigmoid(b)


def mish(x):
    return F.mish(x)


def mean_of_what_is_there(x):
    """An operator of Paddle's takes from the kernel before the last operator of its group."""
    return paddle.nanmean(paddle.where(x > 1, paddle.full_like(x, float("nan")), x)) * x


COMPILED = [
    variance,
    deviation,
    variance_over_rows,
    masked_fill,
    where,
    log_softmax,
    logsumexp,
    logsumexp_dropped_axis,
    gelu_by_tanh,
    softplus,
    clip,
    powers,
    square,
    a_tuple,
    a_dictionary,
    a_result_without_gradient,
    masked,
    halves,
    mish,
    mean_of_what_is_there,
    Block().forward,
]


@pytest.fixture(scope="module")
def main(load):
    paddle.set_device("cpu")
    module = load("02-compiler/main.py")
    module.toolchain.load_carrier()
    return module


def inputs_of(main, *shapes):
    numbers = np.random.default_rng(7)
    return main.accuracy.tensors([numbers.standard_normal(shape, dtype="float32") for shape in shapes], "float32")


def compiled(main, function, inputs):
    """The outcomes of the generated code and of float64, and the report."""
    subgraph = main.subgraphs.Subgraph("f", function, ())
    slopes, _, exact = main.plain_results(subgraph, inputs, "float32", 0)
    hook = main.generator.Generator("f")
    static, _ = main.tracing.to_static(function, inputs, hook)
    found = main.accuracy.evaluate(static, inputs, slopes, main.accuracy.parameters_of(function))
    return found, exact, hook.report


@pytest.mark.parametrize("function", COMPILED)
def test_what_people_write_becomes_kernels_and_is_right(main, function):
    found, exact, report = compiled(main, function, inputs_of(main, (16, 32)))
    assert max(main.accuracy.errors(found, exact)) < 1e-6, report.left
    assert report.forward


def test_an_input_that_no_result_needs_has_a_gradient_of_zeros(main):
    def one_of_two(x, y):
        return x * x + y.detach()

    found, exact, report = compiled(main, one_of_two, inputs_of(main, (8, 32), (8, 32)))
    assert max(main.accuracy.errors(found, exact)) < 1e-6 and report.forward
    assert not found.gradients[1].any()


def test_a_small_wrong_result_beside_a_large_one_is_seen(main):
    outcome = main.accuracy.Outcome
    exact = outcome([np.full(4, 1e9), np.ones(4)], [np.zeros(4)])
    assert main.accuracy.relative_to(outcome([np.full(4, 1e9), np.full(4, 1.5)], [np.zeros(4)]), exact) == 0.5


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x + paddle.rand(x.shape), "random"),
        (lambda x: F.dropout(x, 0.5), "random"),
        (lambda x: None, "no tensor"),
        (lambda x: paddle.fft.fft(x), "complex"),
        (lambda x: x[:, :0], "without a number"),
        (lambda x: paddle.log(x), "not finite"),
        (lambda x: x.no_such_method(), "does not compute"),
    ],
)
def test_what_has_no_value_to_hold_it_to_is_refused_by_its_reason(main, function, words):
    with pytest.raises(main.subgraphs.SubgraphError, match=words):
        compiled(main, function, inputs_of(main, (8, 32)))


def added_in_place(x):
    y = x * 2
    y.add_(x)
    return y


def set_in_place(x):
    y = x * 2
    y[:, 0] = 0
    return y


def by_a_number(x):
    return x * float(x.sum())


@pytest.mark.parametrize("function", [added_in_place, set_in_place, by_a_number])
def test_what_to_static_itself_computes_wrongly_is_not_called_a_fault_of_kernels(main, function):
    inputs = inputs_of(main, (8, 32))
    found, exact, _ = compiled(main, function, inputs)
    if main.accuracy.relative_to(found, exact) < 1e-3:
        pytest.skip("this version of Paddle traces it rightly")
    subgraph = main.subgraphs.Subgraph("f", function, ())
    slopes, _, exact = main.plain_results(subgraph, inputs, "float32", 0)
    with pytest.raises(main.subgraphs.SubgraphError, match="to_static makes something else"):
        main.require_same_traced(subgraph, inputs, inputs, slopes, exact)


def test_a_layer_of_a_file_is_a_subgraph_and_a_class_is_not(main, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import paddle\n"
        "class Twice(paddle.nn.Layer):\n    def forward(self, x: 'rows 8', factor=2.0): return x * factor\n"
        "twice = Twice()\n"
        "def many(*tensors): return tensors[0]\n"
        "short = lambda x: x * 2\n"
    )
    assert main.subgraphs.find(f"{tmp_path}/mine.py:twice").shapes == ("rows 8",)
    for name in ("Twice", "many", "short"):
        with pytest.raises(main.subgraphs.SubgraphError):
            main.subgraphs.find(f"{tmp_path}/mine.py:{name}")
