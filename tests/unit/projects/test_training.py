"""Task 7: the models are what they should be, and a run that is killed goes on as if nothing had happened."""

import json
import signal
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pytest
from folders import PROJECTS

from harness.catalogue import entries

paddle = pytest.importorskip("paddle")
F = pytest.importorskip("paddle.nn.functional")
pytest.importorskip("sklearn")

MAIN = PROJECTS / "07-new-accelerator" / "main.py"


@pytest.fixture(scope="module")
def modules(load):
    return {
        name: load(f"07-new-accelerator/{name}.py")
        for name in ("transformer", "subjects", "checkpoint", "optimiser", "trainer", "main")
    }


def test_a_letter_is_told_from_those_before_it_alone(modules):
    network = modules["transformer"].GPT(vocabulary=11, context=8, channels=16, heads=2, layers=2)
    letters = np.random.default_rng(0).integers(0, 11, (1, 8))
    changed = letters.copy()
    changed[0, 5] = (changed[0, 5] + 1) % 11
    before, after = (network(paddle.to_tensor(each)).numpy()[0] for each in (letters, changed))
    np.testing.assert_allclose(after[:5], before[:5], atol=1e-6)
    assert np.abs(after[5:] - before[5:]).max() > 1e-3


def test_attention_is_that_of_the_formula(modules):
    block = modules["transformer"].Block(8, 2)
    x = np.random.default_rng(0).standard_normal((1, 3, 8)).astype("float32")
    parts = x[0] @ block.qkv.weight.numpy()
    q, k, v = (part.reshape(3, 2, 4) for part in np.split(parts, 3, axis=-1))
    mixed = np.zeros((3, 2, 4))
    for head in range(2):
        scores = np.exp(q[:, head] @ k[:, head].T / 2)
        mixed[:, head] = scores / scores.sum(-1, keepdims=True) @ v[:, head]
    expected = mixed.reshape(3, 8) @ block.output.weight.numpy()
    np.testing.assert_allclose(block.attention(paddle.to_tensor(x)).numpy()[0], expected, atol=1e-5)


def test_the_norm_and_its_gradient_are_those_of_layer_norm(modules):
    numbers = np.random.default_rng(0).standard_normal((2, 3, 8)).astype("float32")
    found = []
    for norm in (modules["transformer"].norm, lambda x: F.layer_norm(x, [8])):
        x = paddle.to_tensor(numbers, stop_gradient=False)
        y = norm(x)
        found.append((y.numpy(), paddle.grad((y * y * y).sum(), x)[0].numpy()))
    np.testing.assert_allclose(*[y for y, _ in found], atol=1e-6)
    np.testing.assert_allclose(*[slope for _, slope in found], atol=1e-5)


def test_the_sum_beside_its_norm_is_the_sum(modules):
    x, y = (paddle.randn([2, 3, 8]) for _ in range(2))
    x.stop_gradient = False
    total, normed = modules["transformer"].added(x, y)
    np.testing.assert_allclose(total.numpy(), (x + y).numpy())
    np.testing.assert_allclose(normed.numpy(), F.layer_norm(x + y, [8]).numpy(), atol=1e-6)


class Stepped:
    """Weights that an optimiser moves along given slopes."""

    def __init__(self, optimiser):
        self.weights = [paddle.create_parameter([rows, 3], "float32") for rows in (1, 20)]
        for weight in self.weights:
            weight.set_value(np.full(weight.shape, 0.5, "float32"))
        self.optimiser = optimiser(self.weights)

    def go(self, steps, size, dtype="float32"):
        for step in steps:
            for number, weight in enumerate(self.weights):
                slope = np.random.default_rng([step, number]).standard_normal(weight.shape)
                weight.grad = paddle.to_tensor((size * slope).astype(dtype))
            self.optimiser.set_lr(0.01 / (1 + step))
            self.optimiser.step()
            self.optimiser.clear_grad()
        return np.concatenate([weight.numpy() for weight in self.weights])


def plain(weights):
    clip = paddle.nn.ClipGradByGlobalNorm(1.0)
    return paddle.optimizer.AdamW(0.01, parameters=weights, weight_decay=0.05, grad_clip=clip)


@pytest.fixture
def at_once(modules):
    return lambda weights: modules["optimiser"].AdamW(0.01, weights, decay=0.05, most=1.0)


@pytest.mark.parametrize("size", [0.0, 1e-3, 10.0], ids=["no slope", "below the norm", "clipped"])
def test_all_weights_at_once_move_as_one_by_one(at_once, size):
    expected, found = Stepped(plain), Stepped(at_once)
    assert found.optimiser._all_at_once, "there is a compiler, or this compares Paddle with itself"
    np.testing.assert_allclose(found.go(range(20), size), expected.go(range(20), size), rtol=2e-6)
    states = [[tensor.numpy() for tensor in each.optimiser.state_dict().values()] for each in (expected, found)]
    for ours, theirs in zip(*states, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-12)


def test_a_step_by_paddle_goes_on_from_those_at_once_and_back(at_once, monkeypatch):
    expected, found = Stepped(plain), Stepped(at_once)
    compiled = found.optimiser._all_at_once
    for step in range(6):
        found.optimiser._all_at_once = compiled if step % 2 else None
        np.testing.assert_allclose(found.go([step], 1.0), expected.go([step], 1.0), rtol=2e-6)


def test_without_a_compiler_paddle_takes_the_step(at_once, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    found = Stepped(at_once)
    assert found.optimiser._all_at_once is None
    np.testing.assert_array_equal(found.go(range(3), 1.0), Stepped(plain).go(range(3), 1.0))


def test_patches_are_squares_of_the_image(modules):
    network = modules["transformer"].ViT(size=4, patch=2, classes=3, channels=8, heads=2, layers=0)
    network.embedding.weight.set_value(paddle.to_tensor(np.eye(4, 8, dtype="float32")))
    seen = []
    network.embedding.register_forward_post_hook(lambda _, inputs, output: seen.append(output.numpy()))
    network(paddle.arange(16, dtype="float32").reshape([1, 4, 4]))
    assert seen[0][0, :, :4].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]


def test_what_is_held_out_is_never_drawn(modules):
    digits, text = modules["subjects"].Digits(), modules["subjects"].Documentation()
    digits.images[: digits.held_out] = 99
    text.letters[text.end :] = -1
    for seed in range(20):
        assert digits.batch(np.random.default_rng(seed), 200)[0].max() <= 1
        letters, following = text.batch(np.random.default_rng(seed), 200)
        assert letters.min() >= 0 and following[:, :-1].min() >= 0
        assert (letters[:, 1:] == following[:, :-1]).all()


def test_the_rate_rises_and_falls(modules):
    rates = [modules["trainer"].learning_rate(step, 100, 1.0) for step in range(100)]
    assert rates[0] < 0.11 and max(rates) == max(rates[8:12]) and rates[-1] == pytest.approx(0.1, abs=0.01)
    assert all(a > b for a, b in pairwise(rates[10:]))


SMALL = ["subject=digits", "digits_steps=120", "digits_batch=8", "keep_every=5"]


def words(out, *settings):
    return [sys.executable, "-W", "ignore", str(MAIN), "--out", str(out), "--set", *SMALL, *settings]


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_bit_for_bit(tmp_path):
    whole, killed, resumed = (tmp_path / name for name in ("whole", "killed", "resumed"))
    assert subprocess.run(words(whole), capture_output=True).returncode == 0
    process = subprocess.Popen(words(killed), stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (killed / "digits.checkpoint").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert not (killed / "metrics.json").exists(), "it was killed in the middle"
    done = subprocess.run(words(resumed, f"resume={killed}"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "resumed after step" in done.stdout
    curves = [np.load(folder / "trace.npz")["digits_loss"] for folder in (whole, resumed)]
    assert curves[0].size == 120 and (curves[0] == curves[1]).all()
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (whole, resumed)]
    assert metrics[0]["digits_held_out_loss"] == metrics[1]["digits_held_out_loss"]


@pytest.mark.slow
def test_two_ranks_train_as_one_does(tmp_path):
    launch = [sys.executable, "-W", "ignore", str(PROJECTS / "kit" / "launch.py")]
    settings = ["digits_steps=10", "accumulate=2"]
    assert subprocess.run(words(tmp_path / "one", *settings), capture_output=True).returncode == 0
    two = words(tmp_path / "two", *settings)
    two[two.index("--out"):two.index("--out")] = ["--cards", "2"]  # fmt: skip
    done = subprocess.run([*launch, *two[3:]], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    curves = [np.load(tmp_path / name / "trace.npz")["digits_loss"] for name in ("one", "two")]
    np.testing.assert_allclose(curves[0], curves[1], rtol=2e-4)


def test_a_checkpoint_that_does_not_fit_is_refused_with_the_difference(modules, tmp_path):
    checkpoint = modules["checkpoint"]
    path = tmp_path / "digits.checkpoint"
    checkpoint.save(path, {"settings": {"seed": 1, "batch": 8}})
    assert checkpoint.load(path, {"seed": 1, "batch": 8})["settings"]["seed"] == 1
    with pytest.raises(checkpoint.CheckpointError, match="batch=8, now 16"):
        checkpoint.load(path, {"seed": 1, "batch": 16})
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(checkpoint.CheckpointError, match="is no checkpoint"):
        checkpoint.load(path, {"seed": 1, "batch": 8})
    with pytest.raises(checkpoint.CheckpointError, match="is no checkpoint"):
        checkpoint.load(tmp_path / "nowhere", {})


def test_what_cannot_be_divided_ends_with_2_and_one_line(tmp_path):
    done = subprocess.run(words(tmp_path, "accumulate=3"), capture_output=True, text=True)
    assert done.returncode == 2 and "digits_batch=8 cannot be divided among 1 cards x accumulate=3" in done.stderr
    assert "Traceback" not in done.stderr


class Alone:
    """A program of one process, as the trainer knows it."""

    rank, processes = 0, 1

    def __init__(self, folder, seed=0, **parameters):
        defaults = {name: parameter.default for name, parameter in entries.load().parts["7"].parameters.items()}
        self.parameters, self.seed, self.folder = {**defaults, **parameters}, seed, folder
        self.metrics, self.traces = {}, {}

    def metric(self, name, value):
        self.metrics[name] = value

    def trace(self, **arrays):
        self.traces |= arrays

    def used(self, *things):
        pass

    def artefact(self, name):
        return self.folder / name


def test_in_lower_precision_step_after_step_is_taken(modules, tmp_path):
    """Paddle's autocast can be entered once: a second step that enters it again falls."""
    losses = {}
    for precision in ("float32", "bfloat16"):
        paddle.seed(0)
        training = modules["trainer"].Training(Alone(tmp_path), modules["subjects"].Digits(), precision)
        losses[precision] = [training.step() for _ in range(3)]
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.05)


@pytest.mark.parametrize(
    ("really", "chosen"), [("bfloat16", "bfloat16"), ("float16", "float16"), ("float32", "float32")]
)
def test_the_precision_is_what_products_are_really_in(modules, monkeypatch, really, chosen):
    """Autocast does nothing on a CPU, and on a device whose bfloat16 Paddle does not know."""
    main = modules["main"]
    true = paddle.matmul
    monkeypatch.setattr(main.paddle, "matmul", lambda x, y: true(x, y).astype(really))
    assert main.choose_precision("auto") == chosen


def test_a_precision_that_is_not_computed_in_is_refused(modules, capsys):
    with pytest.raises(SystemExit) as stop:
        modules["main"].choose_precision("bfloat16")
    assert stop.value.code == 3
    assert "precision=bfloat16: cpu does not compute in it.\nprecision=auto" in capsys.readouterr().err


def test_losses_are_traced_as_they_were_computed(modules, tmp_path):
    program = Alone(tmp_path, digits_steps=2, digits_batch=8)
    modules["main"].train(program, modules["subjects"].Digits(), "float32")
    assert program.traces["digits_loss"].dtype == np.float32 and program.traces["digits_loss"].shape == (2,)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("digits_accuracy", {"digits_steps": 1}),
        ("digits_accuracy", {"digits_rate": 0.0}),
        ("digits_accuracy", {"digits_rate": 1.0}),
        ("digits_accuracy", {"digits_batch": 8}),
        ("text_held_out_loss", {"text_steps": 1}),
        ("text_held_out_loss", {"text_rate": 0.0}),
        ("text_held_out_loss", {"text_batch": 1}),
    ],
)
def test_where_it_is_not_known_how_well_it_learns_nothing_is_judged(verdict, name, settings):
    assert verdict("7", name, {name: 0.1, "text_pair_loss": 2.3}, **settings) == "not judged"


def without_attention(network):
    return type(network.blocks[0]), "attention", lambda self, x: paddle.zeros_like(x)


def without_places(network):
    def body(self, x):
        for block in self.blocks:
            x = block(x)
        return paddle.nn.functional.layer_norm(x, x.shape[-1:])

    return type(network), "body", body


@pytest.mark.slow
@pytest.mark.plants("7", "digits_accuracy", "text_held_out_loss")
@pytest.mark.parametrize(
    ("subject", "name", "fault"),
    [
        ("Digits", "digits_accuracy", None),
        ("Digits", "digits_accuracy", without_places),
        ("Documentation", "text_held_out_loss", None),
        ("Documentation", "text_held_out_loss", without_attention),
    ],
)
def test_a_network_that_cannot_see_where_or_what_before_does_not_learn_enough(
    modules, verdict, monkeypatch, tmp_path, subject, name, fault
):
    learnt = getattr(modules["subjects"], subject)()
    if fault:
        monkeypatch.setattr(*fault(learnt.network()))
    paddle.seed(0)
    program = Alone(tmp_path)
    modules["main"].train(program, learnt, "float32")
    assert verdict("7", name, program.metrics) == ("failed" if fault else "passed")
