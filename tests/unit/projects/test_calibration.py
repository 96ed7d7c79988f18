"""What the inputs of weights count, and that weights of 4 bits are rounded by it."""

import llm
import numpy as np
import pytest
from llm import exact
from test_engine import SETTINGS
from test_llm import write_folder


@pytest.fixture(scope="module")
def modules(load):
    return {
        name: load(f"10-optimised-inference/{name}.py") for name in ("calibration", "measures", "packed", "packing")
    }


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "m"
    write_folder(folder, SETTINGS)
    return llm.open_model(str(folder))


@pytest.fixture(scope="module")
def uneven(opened):
    """The model's weights, with norms that make some inputs count a hundred times as much as others."""
    numbers = np.random.default_rng(5)
    weights = {name: np.array(opened.weights[name]) for name in opened.weights}
    for name in weights:
        if name.endswith("norm.weight"):
            weights[name] = np.exp(numbers.normal(size=weights[name].shape) * 1.5).astype("float32")
    return weights


def divergence(modules, config, weights, importance):
    """KL from the weights to the same in 4 bits."""
    packing, tokens = modules["packing"], np.random.default_rng(9).integers(2, 250, (4, 60))
    rounded = dict(weights)
    for name in filter(lambda name: name.endswith("_proj.weight"), weights):
        rounded[name] = packing.dequantise(packing.quantise(weights[name], "int4", importance.get(name)), "int4")
    truth, found = (exact.logits(config, each, tokens) for each in (weights, rounded))
    return modules["measures"].divergence(truth, found)


def test_it_is_the_mean_square_of_what_products_are_given(modules, opened, uneven):
    given = []
    tokens = np.arange(2, 42).reshape(2, 20)
    exact.logits(opened.config, uneven, tokens, "float32", lambda x: given.append(x) or x)
    found = modules["calibration"].importance(opened.config, uneven, tokens)
    names = ["self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"]  # one of each product
    for (layer, name), x in zip(((i, n) for i in range(opened.config.layers) for n in names), given, strict=False):
        squares = np.square(x.astype("float64")).mean((0, 1))
        expected = squares + modules["calibration"].LEAST * squares.mean()
        np.testing.assert_allclose(found[f"model.layers.{layer}.{name}.weight"], expected, rtol=1e-4)


def test_weights_are_better_rounded_by_it_than_without_or_by_that_of_others(modules, opened, uneven):
    right = modules["calibration"].importance(opened.config, uneven)
    wrong = {name: each[::-1] for name, each in right.items()}
    by_it, without, by_others = (divergence(modules, opened.config, uneven, each) for each in (right, {}, wrong))
    assert by_it < 0.8 * without < by_others


def test_every_weight_of_a_layer_has_one_of_its_own_width(modules, opened):
    found = modules["calibration"].importance(opened.config, opened.weights)
    assert {name for name in opened.weights if name.endswith("_proj.weight")} == set(found)
    assert all(each.shape == (opened.weights.shapes[name][1],) for name, each in found.items())
    assert all((each > 0).all() for each in found.values())


def test_it_is_the_same_every_time(modules, opened):
    one, other = (modules["packed"].pack_weights(opened.config, opened.weights, "int4", 16) for _ in range(2))
    np.testing.assert_array_equal(one.memory, other.memory)


def test_a_model_that_computes_no_numbers_is_refused(modules, opened, uneven):
    name = "model.layers.1.mlp.down_proj.weight"
    weights = uneven | {name: uneven[name] * np.float32(np.nan)}
    with pytest.raises(ValueError, match="layer 1 computes what is not a number"):
        modules["calibration"].importance(opened.config, weights)


def test_inputs_that_are_always_zero_say_nothing(modules, opened, uneven):
    silent = "model.layers.0.input_layernorm.weight"
    found = modules["calibration"].importance(opened.config, uneven | {silent: 0 * uneven[silent]})
    assert "model.layers.0.self_attn.q_proj.weight" not in found
    assert "model.layers.0.mlp.up_proj.weight" in found
