"""Task 11: a wrong network, other weights, images prepared otherwise: the judge fails each."""

import pytest
from llm import decoder as decoders
from llm.rope import rotary_frequencies
from PIL import Image

from harness.catalogue import entries
from harness.runs.judge import judge_metric

PART = entries.load().parts["11"]
ARCHITECTURES = ["llama32", "qwen2_vl", "qwen3"]


@pytest.fixture(scope="module")
def comparison(load):
    return load("11-new-model/comparison.py")


@pytest.fixture(scope="module")
def reference(comparison):
    return comparison.read_reference("stored", None)


def verdicts(architecture, found):
    """What the judge says of a comparison, by the ends of the metrics' names."""
    metrics = {
        f"{architecture}_same_weights": found.same_weights,
        f"{architecture}_prefill_error": found.prefill,
        f"{architecture}_decode_error": found.decode,
    }
    found = {name: judge_metric(PART, name, {}, metrics).verdict for name in metrics}
    return {name.removeprefix(architecture + "_"): verdict for name, verdict in found.items()}


def misturned(x, cos, sin):
    """Rotary embedding with the wrong sign."""
    return ROTATE(x, cos, -sin)


def unscaled(q, k, v, mask, scale, cap):
    """Attention whose scores are not divided by the root of the head's size."""
    return ATTEND(q, k, v, mask, 1.0, cap)


def swapped(q, k, v, mask, *more):
    """Attention whose groups of query heads look at each other's keys and values."""
    return ATTEND(q, k.flip([1]), v.flip([1]), mask, *more)


def unnormed(self, x):
    """Qwen3's queries and keys without their norms."""
    return decoders.GroupedQueryAttention.project(self, x)


def unstretched(config):
    """Llama 3.2's frequencies without its scaling."""
    return rotary_frequencies(config["rope_theta"], 16)


ROTATE, ATTEND = decoders.rotate, decoders.attend


@pytest.fixture
def plant(comparison, monkeypatch):
    """Puts a fault in the place of what a module of the program calls by that name."""

    def planting(name, fault):
        networks = comparison.NETWORKS
        homes = {
            "unnormed": (networks["Qwen3ForCausalLM"].__init__.__globals__["NormedAttention"], "project"),
            "unstretched": (networks["LlamaForCausalLM"].__init__.__globals__, "frequencies"),
        }
        place, attribute = homes.get(fault.__name__, (decoders, name))
        (monkeypatch.setitem if isinstance(place, dict) else monkeypatch.setattr)(place, attribute, fault)

    return planting


@pytest.mark.plants("11", "llama32_prefill_error", "qwen2_vl_prefill_error", "qwen3_prefill_error")
@pytest.mark.plants("11", "llama32_decode_error", "qwen2_vl_decode_error", "qwen3_decode_error")
@pytest.mark.parametrize(
    ("architecture", "name", "fault"),
    [
        *((architecture, "rotate", misturned) for architecture in ARCHITECTURES),
        *((architecture, "attend", unscaled) for architecture in ARCHITECTURES),
        *((architecture, "attend", swapped) for architecture in ARCHITECTURES),
        ("llama32", "frequencies", unstretched),
        ("qwen3", "project", unnormed),
    ],
)
def test_a_wrong_network_fails(comparison, reference, plant, tmp_path, architecture, name, fault):
    plant(name, fault)
    found = verdicts(architecture, comparison.compare(architecture, tmp_path, reference)[0])
    assert found["prefill_error"] == found["decode_error"] == "failed"


@pytest.mark.plants("11", "llama32_decode_error", "qwen2_vl_decode_error", "qwen3_decode_error")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_cache_that_is_one_position_off_fails(comparison, reference, monkeypatch, tmp_path, architecture):
    class Late(decoders.KVCache):
        def extend(self, layer, keys, values):
            if self.real.shape[1] > keys.shape[2]:  # not the first step: the oldest token is forgotten
                self.keys[layer][:, :, 0] = 0
            return super().extend(layer, keys, values)

    monkeypatch.setattr(comparison, "KVCache", Late)
    found = verdicts(architecture, comparison.compare(architecture, tmp_path, reference)[0])
    assert (found["prefill_error"], found["decode_error"]) == ("passed", "failed")


@pytest.mark.plants("11", "llama32_same_weights", "qwen2_vl_same_weights", "qwen3_same_weights")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_other_weights_than_the_references_fail(comparison, reference, monkeypatch, tmp_path, architecture):
    monkeypatch.setattr(comparison.tiny, "SCALE", 0.16)
    found, _ = comparison.compare(architecture, tmp_path, reference)
    assert verdicts(architecture, found)["same_weights"] == "failed"


@pytest.mark.plants("11", "image_error")
@pytest.mark.parametrize("fault", ["a grey level", "bilinear"])
def test_images_preprocessed_otherwise_fail(comparison, reference, monkeypatch, tmp_path, fault):
    if fault == "bilinear":
        resize = Image.Image.resize
        monkeypatch.setattr(Image.Image, "resize", lambda self, size, _: resize(self, size, Image.Resampling.BILINEAR))
    else:
        mean = [each + 1 / 255 for each in comparison.tiny.PREPROCESSOR["image_mean"]]
        monkeypatch.setitem(comparison.tiny.PREPROCESSOR, "image_mean", mean)
    found, _ = comparison.compare("qwen2_vl", tmp_path, reference)
    assert judge_metric(PART, "image_error", {}, {"image_error": found.pixels}).verdict == "failed"


@pytest.mark.plants("11", "image_sizes_equal")
def test_sizes_rounded_down_fail(comparison, reference, monkeypatch):
    right = comparison.smart_resize
    down = lambda height, width, factor, *limits: right(  # noqa: E731
        max(height // factor, 1) * factor, max(width // factor, 1) * factor, factor, *limits
    )
    monkeypatch.setattr(comparison, "smart_resize", down)
    found = comparison.equal_sizes(reference)
    assert judge_metric(PART, "image_sizes_equal", {}, {"image_sizes_equal": found}).verdict == "failed"
