"""Task 8-1: the feed-forward network is the one in the books, its gradients are right, and it learns."""

import json

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
import yaml
from conftest import PROJECTS
from hypothesis import given, settings
from hypothesis import strategies as st

ACTIVATIONS = ["gelu", "relu", "swish"]
METRICS = yaml.safe_load((PROJECTS / "08-ffn/project.yaml").read_text())["parts"]["8-1"]["metrics"]


@pytest.fixture(scope="module")
def ffn(load):
    return load("08-ffn/ffn.py")


@pytest.fixture(scope="module")
def reference(load):
    return load("08-ffn/reference.py")


def some_weights(numbers: np.random.Generator, hidden: int, inner: int, residual: bool) -> dict[str, np.ndarray]:
    shapes = {
        "up.weight": (hidden, inner),
        "up.bias": inner,
        "down.weight": (inner, hidden),
        "down.bias": hidden,
    }
    if residual:
        shapes |= {"norm.weight": hidden, "norm.bias": hidden}
    return {name: numbers.normal(size=shape) for name, shape in shapes.items()}


class TestReference:
    """The reference itself is held against the definition of a derivative, not against Paddle."""

    @settings(max_examples=30, deadline=None)
    @given(
        seed=st.integers(0, 2**32 - 1),
        hidden=st.integers(2, 7),
        inner=st.integers(1, 9),
        tokens=st.integers(1, 5),
        residual=st.booleans(),
        activation=st.sampled_from(["gelu", "swish"]),  # relu has a kink: below
    )
    def test_its_gradients_are_the_slopes_of_its_loss(
        self, reference, seed, hidden, inner, tokens, residual, activation
    ):
        numbers = np.random.default_rng(seed)
        weights = some_weights(numbers, hidden, inner, residual)
        x, target = numbers.normal(size=(2, tokens, hidden))

        def loss(values: dict[str, np.ndarray]) -> float:
            rest = {name: value for name, value in values.items() if name != "x"}
            return reference.loss_and_gradients(rest, values["x"], target, activation)[1]

        point = weights | {"x": x}
        gradients = reference.loss_and_gradients(weights, x, target, activation)[2]
        assert {name: value.shape for name, value in gradients.items()} == {
            name: value.shape for name, value in point.items()
        }
        way = {name: numbers.normal(size=value.shape) for name, value in point.items()}
        step = 1e-6
        ahead = loss({name: value + step * way[name] for name, value in point.items()})
        behind = loss({name: value - step * way[name] for name, value in point.items()})
        terms = [(gradients[name] * way[name]).sum() for name in point]
        # Hidden sizes of 2 and tokens of nearly equal numbers make the normalisation steep, hence the scale.
        scale = sum(map(abs, terms)) + abs(ahead) + 1
        assert abs((ahead - behind) / (2 * step) - sum(terms)) < 1e-3 * scale

    @given(z=st.floats(-1e300, 1e300))
    def test_activations_are_finite_wherever_the_input_is(self, reference, z):
        for name in ACTIVATIONS:
            value, slope = reference.activate(name, np.array([z]))
            assert np.isfinite(value).all() and np.isfinite(slope).all()

    def test_known_values(self, reference):
        z = np.array([-1.0, 0.0, 1.0])
        np.testing.assert_allclose(reference.activate("relu", z)[0], [0, 0, 1])
        np.testing.assert_allclose(reference.activate("gelu", z)[0], [-0.15865525, 0, 0.84134475], atol=1e-8)
        np.testing.assert_allclose(reference.activate("swish", z)[0], [-0.26894142, 0, 0.73105858], atol=1e-8)

    def test_an_unknown_activation_is_an_error(self, reference):
        with pytest.raises(KeyError):
            reference.activate("magic", np.zeros(1))

    def test_an_error_relative_to_nothing_is_infinite_and_not_hidden(self, reference):
        assert reference.relative_error(np.ones(2), np.zeros(2)) == float("inf")
        assert reference.relative_error(np.zeros(2), np.zeros(2)) == 0


def errors(ffn, reference, activation: str, residual: bool, tamper=None, dtype: str = "float32") -> tuple[float, float]:
    """Errors of the output and of the worst gradient; `tamper` may spoil the network first."""
    numbers = np.random.default_rng(1)
    paddle.set_default_dtype(dtype)
    try:
        network = ffn.FFN(16, 48, activation, residual)
    finally:
        paddle.set_default_dtype("float32")
    ffn.initialise(network, numbers)
    if tamper:
        tamper(network)
    x, target = numbers.normal(size=(2, 4, 8, 16)).astype(dtype)
    given_x = paddle.to_tensor(x, stop_gradient=False)
    output = network(given_x)
    F.mse_loss(output, paddle.to_tensor(target)).backward()
    found = {name: weight.grad.numpy() for name, weight in network.named_parameters()} | {"x": given_x.grad.numpy()}
    weights = {name: weight.numpy() for name, weight in network.named_parameters()}
    y, _, gradients = reference.loss_and_gradients(weights, x, target, activation)
    assert found.keys() == gradients.keys()
    return (
        reference.relative_error(output.numpy(), y),
        max(reference.relative_error(found[name], gradients[name]) for name in gradients),
    )


class TestNetwork:
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    @pytest.mark.parametrize("residual", [True, False])
    def test_output_and_gradients_are_those_of_the_reference(self, ffn, reference, activation, residual):
        forward, gradient = errors(ffn, reference, activation, residual)
        assert 0 < forward < METRICS["forward_error"]["at_most"] / 5
        assert 0 < gradient < METRICS["gradient_error"]["at_most"] / 5

    def test_in_float64_they_agree_to_the_last_digits(self, ffn, reference):
        forward, gradient = errors(ffn, reference, "gelu", True, dtype="float64")
        assert forward < 1e-12 and gradient < 1e-12

    def test_the_bounds_catch_the_approximate_gelu_in_place_of_the_exact_one(self, ffn, reference):
        def approximate(network):
            network.activation = lambda z: F.gelu(z, approximate=True)

        forward, gradient = errors(ffn, reference, "gelu", True, approximate)
        assert forward > METRICS["forward_error"]["at_most"]
        assert gradient > METRICS["gradient_error"]["at_most"]

    def test_the_bounds_catch_another_epsilon_in_the_normalisation(self, ffn, reference):
        def coarser(network):
            network.norm._epsilon = 1e-3

        assert errors(ffn, reference, "gelu", True, coarser)[1] > METRICS["gradient_error"]["at_most"]

    def test_every_token_is_treated_alone(self, ffn):
        network = ffn.FFN(8, 16)
        x = paddle.to_tensor(np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32"))
        np.testing.assert_allclose(network(x)[1, 3].numpy(), network(x[1:2, 3:4])[0, 0].numpy(), rtol=1e-5, atol=1e-6)

    def test_the_same_seed_starts_from_the_same_weights_whatever_paddle_drew_before(self, ffn):
        networks = []
        for seed in (1, 2):
            paddle.seed(seed)
            networks.append(ffn.FFN(8, 16))
            ffn.initialise(networks[-1], np.random.default_rng(5))
        for one, other in zip(*(network.parameters() for network in networks), strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.slow
def test_the_program_learns_and_meets_its_own_bounds(run_program):
    out = run_program("08-ffn", "--part", "8-1", "--set", "hidden=16", "inner=32", "steps=60", "learning_rate=0.02")
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics.keys() == METRICS.keys()
    for name, rule in METRICS.items():
        assert metrics[name] <= rule.get("at_most", float("inf")), name
    assert metrics["weights"] == 16 * 32 + 32 + 32 * 16 + 16 + 2 * 16
    trace = np.load(out / "trace.npz")
    assert trace["loss"].shape == (60,) and trace["output"].shape == (64, 16)
    assert (out / "loss.png").stat().st_size > 10_000
    assert list(json.loads((out / "device.json").read_text())["places_of_the_program"]) == ["Place(cpu)"]
