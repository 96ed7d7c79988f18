"""Models that see: what Qwen2-VL and Qwen2.5-VL answer about pictures is what transformers answers."""

import json
import sys
from pathlib import Path

import llm
import numpy as np
import pytest

FAMILIES = Path(__file__).resolve().parent / "families"
sys.path.insert(0, str(FAMILIES))
import vision_cases as cases  # noqa: E402
from llm.decoder import KVCache  # noqa: E402
from llm.pictures import Preparation  # noqa: E402
from llm.vision import VisionTower  # noqa: E402
from llm.vision_config import vision_config  # noqa: E402

REFERENCE = np.load(FAMILIES / "vision_reference.npz")
# Two programs' roundings of the longest sum and of the angles, 7 branches deep.
ALLOWED = 4 * 2**-24 * (156 + (7 * 128) ** 0.5)
ENGINE = "10-optimised-inference"


def write(folder, case, **changes):
    shapes = {name: tuple(shape) for name, shape in json.loads(str(REFERENCE[f"{case}.shapes"])).items()}
    cases.write_folder(folder, cases.CASES[case], shapes)
    (folder / "config.json").write_text(json.dumps(cases.CASES[case] | changes))
    return folder


@pytest.fixture(scope="module")
def modules(load):
    names = ("engine", "native", "native_decoder", "packed", "plain_decoder", "sight")
    return {name: load(f"{ENGINE}/{name}.py") for name in names}


@pytest.fixture(scope="module")
def kernels(modules):
    try:
        return modules["native"].Kernels()
    except modules["native"].NoKernels as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=list(cases.CASES))
def model(request, tmp_path_factory):
    return request.param, llm.open_model(str(write(tmp_path_factory.mktemp("seeing") / "m", request.param)))


@pytest.fixture(params=["plain operators", "kernels"])
def decoder(request, model, modules):
    """One that computes the model in float32 with so many blocks."""
    _, opened = model
    given = opened.config, opened.weights, "float32", "float32"
    if request.param == "plain operators":
        return lambda blocks=64: modules["plain_decoder"].PlainDecoder(*given, blocks)
    kernels = request.getfixturevalue("kernels")
    packed = modules["packed"].pack_weights(opened.config, opened.weights, "float32", kernels.rows)
    return lambda blocks=64: modules["native_decoder"].NativeDecoder(given[0], packed, kernels, *given[2:], blocks)


@pytest.fixture(scope="module")
def requests(model, modules):
    """Makes the engine's request of a conversation, from the prompt that transformers' processor wrote."""
    case, opened = model
    tower = VisionTower(opened.vision.config, opened.vision.weights)

    def see(image):
        patches, (down, across) = opened.vision.preparation.patches(image)
        vectors = tower((patches, (down, across))).numpy()
        return modules["sight"].Picture(-1 - hash(image.tobytes()) % 10**9, (down // 2, across // 2), vectors)

    def make(name, answered=()):
        prompt = [*REFERENCE[f"{case}.{name}.prompt"].tolist(), *answered]
        pictures = [see(image) for image in cases.shown(cases.CONVERSATIONS[name])]
        sight = modules["sight"].Sight(prompt, opened.vision.image_token, pictures) if pictures else None
        return modules["engine"].Request(prompt, cases.STEPS - len(answered), sight=sight)

    return make


def tokens(case, name):
    return REFERENCE[f"{case}.{name}.tokens"].tolist()


def run(modules, decoder, requests, **options):
    engine = modules["engine"].Engine(decoder, frozenset(), **options)
    for request in requests:
        engine.add(request)
    engine.run()
    return engine


def test_every_conversation_is_answered_as_by_transformers_alone(model, modules, decoder, requests):
    for name in cases.CONVERSATIONS:
        request = requests(name)
        run(modules, decoder(), [request])
        assert request.answer == tokens(model[0], name), name


@pytest.mark.parametrize("options", [{}, {"budget": 7}, {"batch": 3, "budget": 40}])
def test_and_all_of_them_together(model, modules, decoder, requests, options):
    asked = {name: requests(name) for name in cases.CONVERSATIONS}
    run(modules, decoder(), list(asked.values()), **options)
    assert {name: request.answer for name, request in asked.items()} == {n: tokens(model[0], n) for n in asked}


def test_logits_are_transformers(model, modules, decoder, requests):
    for name in cases.CONVERSATIONS:
        expected, request = REFERENCE[f"{model[0]}.{name}.logits"], requests(name)
        found = []
        request.sampler.choose = lambda logits, found=found: found.append(logits) or int(logits.argmax())
        run(modules, decoder(), [request])
        off = np.linalg.norm(np.float64(found)[[0, -1]] - expected, axis=-1) / np.linalg.norm(expected, axis=-1)
        assert off.max() < ALLOWED, name


def one_after_another(model, modules, decoder, requests, names):
    """The answers of requests that may share what the cache has of earlier ones, and the requests."""
    engine, asked = modules["engine"].Engine(decoder(), frozenset()), [requests(name) for name in names]
    for request in asked:
        engine.add(request)
        engine.run()
    return [request.answer for request in asked], asked


@pytest.mark.parametrize("case", list(cases.CASES))
def test_task_11_answers_alike(load, case, tmp_path):
    network = load("11-new-model/checkpoint.py").open_network(write(tmp_path / "m", case))
    for name, conversation in cases.CONVERSATIONS.items():
        cache, found = KVCache(), []
        pictures = [Preparation.of(cases.PREPROCESSOR).patches(image) for image in cases.shown(conversation)]
        logits = network.step(REFERENCE[f"{case}.{name}.prompt"][None], cache, last=True, pictures=pictures)
        while len(found) < cases.STEPS:
            found.append(int(logits[0, -1].numpy().argmax()))
            logits = network.step(np.array([[found[-1]]]), cache)
        assert found == tokens(case, name), name


SIMILAR = ["a picture", "another of its size", "a picture"]


def test_a_picture_is_never_taken_for_another_of_its_size(model, modules, decoder, requests):
    case, opened = model
    found, (first, other, again) = one_after_another(model, modules, decoder, requests, SIMILAR)
    assert found == [tokens(case, name) for name in SIMILAR]
    before = REFERENCE[f"{case}.a picture.prompt"].tolist().index(opened.vision.image_token)
    assert (first.cached, other.cached, again.cached) == (0, before // 16 * 16, 48)


def test_pictures_by_their_tokens_alone_would_be_taken_for_each_other(model, modules, decoder, requests, monkeypatch):
    monkeypatch.setattr(modules["engine"].Request, "keys", property(lambda self: self.tokens))
    found, _ = one_after_another(model, modules, decoder, requests, SIMILAR)
    assert found[1] != tokens(model[0], SIMILAR[1])


def test_a_conversation_goes_on_behind_what_the_cache_has(model, modules, decoder, requests):
    first = requests("turns")
    engine = run(modules, decoder(), [first])
    later = requests("turns", answered=first.answer[:5])
    engine.add(later)
    engine.run()
    assert later.cached == 144 and later.answer == tokens(model[0], "turns")[5:]


def test_one_that_gives_its_blocks_up_begins_again_with_its_pictures(model, modules, decoder, requests):
    names = ("turns", "two", "side by side")
    asked = [requests(name) for name in names]
    engine = run(modules, decoder(blocks=22), asked, sharing=False, budget=400)
    assert engine.counts.postponed
    assert [request.answer for request in asked] == [tokens(model[0], name) for name in names]


TURNED = {
    "time alone": lambda places, start, end: places[[0, 0, 0]],
    "rows for columns": lambda places, start, end: places[[0, 2, 1]],
    "as many positions as tokens": lambda places, start, end: np.broadcast_to(np.arange(start, end), places.shape),
}


@pytest.mark.parametrize("fault", TURNED)
def test_another_position_is_seen_in_the_answers(model, modules, decoder, requests, monkeypatch, fault):
    right = modules["sight"].Sight.places
    wrong = lambda self, start, end: TURNED[fault](right(self, start, end), start, end)  # noqa: E731
    monkeypatch.setattr(modules["sight"].Sight, "places", wrong)
    asked = {name: requests(name) for name in cases.CONVERSATIONS}
    run(modules, decoder(), list(asked.values()))
    assert {name for name, request in asked.items() if request.answer != tokens(model[0], name)} - {"text"}
    assert asked["text"].answer == tokens(model[0], "text")


# ---- the folder


@pytest.mark.parametrize("case", list(cases.CASES))
def test_a_folder_as_transformers_saves_it_is_read_alike(case, tmp_path):
    opened = llm.open_model(str(write(tmp_path / "m", case)))
    folder = write(tmp_path / "saved", case)
    cases.cases.write_safetensors(
        folder / "model.safetensors",
        {nested(name): tensor for name, tensor in llm.safetensors_file.Shards(tmp_path / "m").items()},
    )
    (folder / "config.json").write_text(str(REFERENCE[f"{case}.saved"]))
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": cases.PREPROCESSOR}))
    (folder / "preprocessor_config.json").unlink()
    again = llm.open_model(str(folder))
    assert again.config == opened.config and again.vision.config == opened.vision.config
    assert again.vision.preparation == opened.vision.preparation
    for weights, others in ((opened.weights, again.weights), (opened.vision.weights, again.vision.weights)):
        for name in weights:
            np.testing.assert_array_equal(others[name], weights[name])


def nested(name):
    if name.startswith("visual."):
        return f"model.{name}"
    return name.replace("model.", "model.language_model.") if name.startswith("model.") else name


def with_tower(**changes):
    return lambda config: {"vision_config": config["vision_config"] | changes}


def with_rope(**changes):
    return lambda config: {"rope_scaling": config["rope_scaling"] | changes}


@pytest.mark.parametrize(
    ("case", "changes", "words"),
    [
        ("qwen2-vl", with_tower(fullatt_block_indexes=[1]), "vision_config has 'fullatt_block_indexes'"),
        ("qwen2-vl", with_tower(hidden_act="gelu"), "vision_config has 'hidden_act': 'gelu'"),
        ("qwen2-vl", with_tower(spatial_patch_size=8), "vision_config has 'spatial_patch_size': 8"),
        ("qwen2-vl", with_tower(hidden_size=32), "merger.mlp.2.* its configuration says|the tower's tokens have 32"),
        ("qwen2-vl", with_tower(num_heads=5), "5 heads of a vision tower of 32"),
        ("qwen2-vl", with_tower(depth="3"), "'depth' is '3'"),
        ("qwen2-vl", with_tower(temporal_patch_size=1), "differ in times|its configuration says"),
        ("qwen2.5-vl", with_tower(rope_parameters={"rope_type": "axial", "rope_theta": 5.0}), "'rope_parameters'"),
        ("qwen2.5-vl", with_tower(deepstack_visual_indexes=[1]), "'deepstack_visual_indexes'"),
        ("qwen2.5-vl", with_tower(fullatt_block_indexes="1"), "no list of blocks"),
        ("qwen2.5-vl", with_tower(window_size=7), "'window_size' is 7, not a whole number from 8"),
        ("qwen2.5-vl", lambda config: {"vision_config": []}, "no 'vision_config'"),
        ("qwen2.5-vl", lambda config: {"image_token_id": 261}, "image_token_id 261 and video_token_id 261"),
        ("qwen2.5-vl", lambda config: {"text_config": {"hidden_size": 32}}, "two 'hidden_size', which differ"),
        ("qwen2.5-vl", with_rope(mrope_section=[2, 3, 4]), r"mrope_section \[2, 3, 4\] does not sum to half a head, 8"),
        ("qwen2.5-vl", with_rope(mrope_section=None), "mrope_section None"),
        ("qwen2.5-vl", with_rope(mrope_interleaved=True), "rope's 'mrope_interleaved': True"),
        ("qwen2.5-vl", with_rope(type="dynamic", factor=2.0), "'dynamic' is not computed with pictures"),
    ],
)
def test_what_is_not_computed_is_refused_by_its_name(case, changes, words, tmp_path):
    folder = write(tmp_path / "m", case, **changes(cases.CASES[case]))
    with pytest.raises(llm.ModelError, match=words):
        llm.open_model(str(folder))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_processor_type": "Qwen3VLImageProcessor"}, "'image_processor_type': 'Qwen3VLImageProcessor'"),
        ({"do_center_crop": True}, "'do_center_crop': True"),
        ({"resample": 2}, "'resample': 2"),
        ({"do_pad": True}, "'do_pad': True"),
        ({"size": {"height": 224, "width": 224}}, "'size': {'height': 224"),
        ({"image_std": [1, 1, 0]}, "'image_std' is 0"),
        ({"image_mean": [0.5]}, "'image_mean' has 1 numbers, not 3"),
        ({"patch_size": "4"}, "'patch_size' is '4'"),
        ({"max_pixels": True}, "'longest_edge' is True"),
        ({"patch_size": 8}, "differ in patch"),
    ],
)
def test_another_way_to_prepare_pictures_is_refused_by_its_name(changes, words, tmp_path):
    folder = write(tmp_path / "m", "qwen2-vl")
    (folder / "preprocessor_config.json").write_text(json.dumps(cases.PREPROCESSOR | changes))
    with pytest.raises(llm.ModelError, match=words):
        llm.open_model(str(folder))


def test_what_a_preprocessor_config_lacks_is_as_in_transformers():
    found = Preparation.of({"size": {"shortest_edge": 3136, "longest_edge": 12845056}, "min_pixels": 784})
    assert (found.patch, found.merge, found.times, found.fewest, found.most) == (14, 2, 2, 784, 12845056)
    assert Preparation.of({}).most == 28 * 28 * 1280


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 2), (3, 5), (5, 2), (6, 7)])
def test_every_patch_attends_in_one_window_to_those_of_its_square(rows, columns):
    config = vision_config(cases.ARCHITECTURES["qwen2_5_vl"], cases.TOWERS["qwen2_5_vl"])
    windows = llm.vision.Windows(2 * rows, 2 * columns, config)
    count = 4 * rows * columns
    taken, real = windows.taken.numpy().reshape(windows.shape), windows.mask.numpy()[:, 0, 0] == 0
    assert sorted(taken[real].tolist()) == list(range(count))
    token = taken // 4
    square = token // columns // 2 * 100 + token % columns // 2
    assert all(len(set(each[own].tolist())) == 1 for each, own in zip(square, real, strict=True))
    np.testing.assert_array_equal(taken.ravel()[windows.back.numpy()], np.arange(count))
