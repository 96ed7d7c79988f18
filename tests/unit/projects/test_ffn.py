"""Task 8-1: the feed-forward network is the one in the books, its gradients are right, and it learns."""

import json

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.catalogue import entries
from harness.runs.judge import judge_metric

ACTIVATIONS = ["gelu", "relu", "swish"]
PART = entries.load().parts["8-1"]


@pytest.fixture(scope="module")
def ffn(load):
    return load("08-ffn/ffn.py")


@pytest.fixture(scope="module")
def main(load):
    return load("08-ffn/main.py")


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


def measured(main, ffn, tamper=None, dtype="float32", **parameters):
    """The program's own comparison with the reference, of a network that `tamper` may spoil; and the verdicts."""
    p = {"hidden": 16, "inner": 48, "batch": 4, "length": 8, "activation": "gelu", "residual": True} | parameters
    numbers = np.random.default_rng(1)
    paddle.set_default_dtype(dtype)
    try:
        network = ffn.FFN(p["hidden"], p["inner"], p["activation"], p["residual"])
    finally:
        paddle.set_default_dtype("float32")
    ffn.fill(network, ffn.first_weights(p["hidden"], p["inner"], numbers, residual=p["residual"]))
    if tamper:
        tamper(network)
    x, target = numbers.normal(size=(2, p["batch"], p["length"], p["hidden"])).astype(dtype)
    found = main.compare(network, paddle.to_tensor(x), paddle.to_tensor(target), p["activation"])
    judged = {
        name: judge_metric(PART, name, p | {"dtype": dtype}, found).verdict
        for name in ("forward_error", "gradient_error")
    }
    return found, judged


GOOD = {"forward_error": "passed", "gradient_error": "passed"}
BAD = {"forward_error": "failed", "gradient_error": "failed"}


class TestNetwork:
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    @pytest.mark.parametrize("residual", [True, False])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_output_and_gradients_are_those_of_the_reference(self, main, ffn, activation, residual, dtype):
        found, judged = measured(main, ffn, dtype=dtype, activation=activation, residual=residual)
        assert judged == GOOD
        assert 0 < found["forward_error"] < (1e-6 if dtype == "float32" else 1e-14)

    @pytest.mark.parametrize(
        "sizes",
        [{"hidden": 4, "inner": 1}, {"inner": 4096, "batch": 1}, {"hidden": 4096, "batch": 1}, {"batch": 512}],
        ids=str,
    )
    def test_the_bounds_grow_with_the_sums(self, main, ffn, sizes):
        assert measured(main, ffn, **sizes)[1] == GOOD

    @pytest.mark.plants("8-1", "forward_error", "gradient_error")
    def test_the_approximate_gelu_in_place_of_the_exact_one_is_caught(self, main, ffn):
        def approximate(network):
            network.activation = lambda z: F.gelu(z, approximate=True)

        assert measured(main, ffn, approximate)[1] == BAD

    def test_another_epsilon_in_the_normalisation_is_caught(self, main, ffn):
        def coarser(network):
            network.norm._epsilon = 1e-3

        assert measured(main, ffn, coarser)[1] == BAD

    def test_one_gradient_off_by_a_thousandth_is_caught(self, main, ffn):
        def off(network):
            network.up.weight.register_hook(lambda gradient: gradient * 1.001)

        assert measured(main, ffn, off)[1] == GOOD | {"gradient_error": "failed"}

    def test_float32_in_place_of_float64_is_caught(self, main, ffn):
        """A device that takes float64 and computes in float32."""

        def rounded(network):
            own = network.activation
            network.activation = lambda z: own(z.astype("float32")).astype("float64")

        assert measured(main, ffn, rounded, dtype="float64")[1] == BAD

    def test_every_token_is_treated_alone(self, ffn):
        network = ffn.FFN(8, 16)
        x = paddle.to_tensor(np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32"))
        np.testing.assert_allclose(network(x)[1, 3].numpy(), network(x[1:2, 3:4])[0, 0].numpy(), rtol=1e-5, atol=1e-6)

    def test_weights_do_not_depend_on_what_paddle_drew_before(self, ffn):
        drawn = []
        for seed in (1, 2):
            paddle.seed(seed)
            drawn.append(ffn.first_weights(8, 16, np.random.default_rng(5)))
        assert all(np.array_equal(value, drawn[1][name]) for name, value in drawn[0].items())


SMALL = {"hidden": 16, "inner": 32, "steps": 40, "learning_rate": 0.02}


class TestTraining:
    def ratio(self, main, ffn, **changed):
        """Last over first loss, as the program has it, and the judge's verdict."""
        p = SMALL | changed
        numbers = np.random.default_rng(0)
        teacher, network = (ffn.FFN(p["hidden"], p["inner"]) for _ in range(2))
        for net, gain in ((teacher, 2.0), (network, 1.0)):
            ffn.fill(net, ffn.first_weights(p["hidden"], p["inner"], numbers, gain))

        def draw():
            x = paddle.to_tensor(numbers.normal(size=(8, 64, p["hidden"])).astype("float32"))
            with paddle.no_grad():
                return x, teacher(x)

        losses, _ = main.train(network, draw, p["steps"], p["learning_rate"])
        found = {"loss_ratio": float(np.mean(losses[-10:]) / losses[0])}
        return judge_metric(PART, "loss_ratio", p, found).verdict

    def test_it_learns(self, main, ffn):
        assert self.ratio(main, ffn) == "passed"

    @pytest.mark.plants("8-1", "loss_ratio")
    def test_an_optimiser_that_steps_uphill_is_caught(self, main, ffn, monkeypatch):
        own = paddle.optimizer.AdamW
        monkeypatch.setattr(main.paddle.optimizer, "AdamW", lambda learning_rate, **rest: own(-learning_rate, **rest))
        assert self.ratio(main, ffn) == "failed"

    def test_a_forgotten_step_is_caught(self, main, ffn, monkeypatch):
        monkeypatch.setattr(main.paddle.optimizer.AdamW, "step", lambda self: None)
        assert self.ratio(main, ffn) == "failed"

    @pytest.mark.parametrize("changed", [{"learning_rate": 0.0}, {"steps": 1}, {"learning_rate": 1.0}], ids=str)
    def test_what_cannot_learn_is_not_judged(self, main, ffn, changed):
        assert self.ratio(main, ffn, **changed) == "not judged"


class TestKinks:
    def test_only_relu_has_one(self, reference):
        numbers = np.random.default_rng(0)
        weights = some_weights(numbers, 8, 32, True)
        x, target = numbers.normal(size=(2, 500, 8))
        found = {name: reference.kinks([weights], x, target, name, 2.0**-12) for name in ACTIVATIONS}
        assert found["gelu"] == found["swish"] == 0 < found["relu"]

    def test_where_nothing_is_near_it_it_changes_nothing(self, reference):
        weights = some_weights(np.random.default_rng(0), 4, 2, False)
        weights["up.bias"] = np.array([100.0, -100.0])
        assert reference.kinks([weights], np.eye(4), np.zeros((4, 4)), "relu", 2.0**-24) == 0


@pytest.mark.slow
def test_the_program_learns_and_meets_its_own_bounds(run_program):
    out = run_program("08-ffn", "--part", "8-1", "--set", "hidden=16", "inner=32", "steps=60", "learning_rate=0.02")
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics.keys() == PART.metrics.keys()
    p = {"hidden": 16, "inner": 32, "steps": 60, "learning_rate": 0.02}
    judged = [name for name, metric in PART.metrics.items() if metric.bounded]
    assert {judge_metric(PART, name, p, metrics).verdict for name in judged} == {"passed"}
    assert metrics["weights"] == 16 * 32 + 32 + 32 * 16 + 16 + 2 * 16
    trace = np.load(out / "trace.npz")
    assert trace["loss"].shape == (60,) and trace["output"].shape == (64, 16)
    assert (out / "loss.png").stat().st_size > 10_000
    assert list(json.loads((out / "device.json").read_text())["places_of_the_program"]) == ["Place(cpu)"]
