"""Task 8-1: the two-layer feed-forward network of a transformer, checked and trained.

    ./inv python projects/08-ffn/main.py --part 8-1 --device cpu --set activation=swish steps=100

What happens, in order: a network learns from a teacher, a second network of the same shape whose weights it
does not see. Before and after the training the output and every gradient are compared with numpy in float64
(reference.py): a loss can fall with wrong gradients, so a falling loss alone would prove little. The same in numpy and
float32 says how far plain rounding may take them.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no screen needed
import matplotlib.pyplot as plt
import numpy as np
import paddle
import paddle.nn.functional as F
import reference
from ffn import FFN, fill, first_weights

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit


def compare(network: FFN, x: paddle.Tensor, target: paddle.Tensor, activation: str) -> dict[str, float]:
    """Relative L2 errors against the reference, of the output and of the worst gradient, the input's too.

    With them what rounding does to the same network in numpy and float32 (`…_rounding`), and what relu's kink does.
    """
    x = x.detach()
    x.stop_gradient = False
    output = network(x)
    F.mse_loss(output, target).backward()
    found = {name: weight.grad.numpy() for name, weight in network.named_parameters()} | {"x": x.grad.numpy()}
    network.clear_gradients()

    weights = {name: weight.numpy() for name, weight in network.named_parameters()}
    given = weights, x.numpy(), target.numpy(), activation
    y, _, gradients = reference.loss_and_gradients(*given)
    y_plain, _, plain = reference.loss_and_gradients(*given, dtype="float32")
    errors = {name: reference.relative_error(found[name], gradients[name]) for name in gradients}
    for name, error in errors.items():
        print(f"  gradient of {name:12} {gradients[name].shape!s:14} relative error {error:.1e}")
    unit = np.finfo(given[1].dtype).eps / 2
    return {
        "forward_error": reference.relative_error(output.numpy(), y),
        "forward_rounding": reference.relative_error(y_plain, y),
        "gradient_error": max(errors.values()),
        "gradient_rounding": max(reference.relative_error(plain[name], gradients[name]) for name in gradients),
        "gradient_kinks": reference.kinks([weights], *given[1:], unit),
    }


def train(
    network: FFN, draw: Callable[[], tuple[paddle.Tensor, paddle.Tensor]], steps: int, rate: float
) -> tuple[list[float], list[float]]:
    """The losses of all steps, each with fresh tokens, and their seconds."""
    optimiser = paddle.optimizer.AdamW(learning_rate=rate, weight_decay=0.01, parameters=network.parameters())
    losses, seconds = [], []
    for step in range(1, steps + 1):
        batch, answer = draw()
        started = time.perf_counter()
        loss = F.mse_loss(network(batch), answer)
        loss.backward()
        optimiser.step()
        optimiser.clear_grad()
        losses.append(loss.item())  # waits for the device, so that the step is timed and not its launch
        seconds.append(time.perf_counter() - started)
        if step == 1 or step % max(steps // 10, 1) == 0:
            print(f"  step {step:5}  loss {losses[-1]:.5f}")
    return losses, seconds


def plot(losses: np.ndarray, path: Path, title: str) -> None:
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.semilogy(np.arange(1, losses.size + 1), losses, color="tab:blue")
    axes.set(xlabel="step", ylabel="mean squared error", title=title)
    axes.grid(alpha=0.3, which="both")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    program = kit.start(__file__, __doc__)
    p = program.parameters
    if p["dtype"] == "float64" and (why := kit.choose_dtype())[0] != "float64":
        kit.refuse("dtype=float64 cannot be had.", f"{why[1]}.", "dtype=float32 can.", exit_code=3)
    paddle.set_default_dtype(p["dtype"])
    numbers = np.random.default_rng(program.seed)

    network, teacher = (FFN(p["hidden"], p["inner"], p["activation"], p["residual"]) for _ in range(2))
    for net, gain in ((teacher, 2.0), (network, 1.0)):  # larger weights: further from a linear map, more to learn
        fill(net, first_weights(p["hidden"], p["inner"], numbers, gain, p["residual"]))
    weights = sum(weight.size for weight in network.parameters())
    print(f"{network}\n{weights} weights")

    def draw() -> tuple[paddle.Tensor, paddle.Tensor]:
        """Tokens that no step has seen before, and the teacher's answers: both (batch, length, hidden)."""
        x = paddle.to_tensor(numbers.normal(size=(p["batch"], p["length"], p["hidden"])).astype(p["dtype"]))
        with paddle.no_grad():
            return x, teacher(x)

    x, target = draw()
    print("before the training:")
    before = compare(network, x, target, p["activation"])
    losses, seconds = train(network, draw, p["steps"], p["learning_rate"])
    print("after the training:")
    after = compare(network, x, target, p["activation"])
    with paddle.no_grad():
        output = network(x)

    program.used(network, output)
    for name in before:
        program.metric(name, max(before[name], after[name]))
    program.metric("first_loss", losses[0])
    program.metric("last_loss", np.mean(losses[-10:]))
    program.metric("loss_ratio", np.mean(losses[-10:]) / losses[0])
    program.metric("tokens_per_second", p["batch"] * p["length"] / np.median(seconds))
    program.metric("weights", weights)
    program.trace(loss=np.array(losses, p["dtype"]), output=output[0])
    plot(
        np.array(losses),
        program.artefact("loss.png"),
        f"FFN {p['hidden']} → {p['inner']} → {p['hidden']}, {p['activation']}, on {paddle.get_device()}",
    )
    program.finish()


if __name__ == "__main__":
    main()
