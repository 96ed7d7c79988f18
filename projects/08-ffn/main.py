"""Task 8-1: the two-layer feed-forward network of a transformer, checked and trained.

    python projects/08-ffn/main.py --part 8-1 --device cpu --set activation=swish steps=100

What happens, in order: a network learns from a teacher, a second network of the same shape whose weights it
does not see. Before and after the training the output and every gradient are compared with numpy in float64
(reference.py): a loss can fall with wrong gradients, so a falling loss alone would prove little.
"""

import sys
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no screen needed
import matplotlib.pyplot as plt
import numpy as np
import paddle
import paddle.nn.functional as F
import reference
from ffn import FFN, initialise

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit


def compare(network: FFN, x: paddle.Tensor, target: paddle.Tensor, activation: str) -> tuple[float, float]:
    """Relative L2 errors against the reference: of the output, and of the worst gradient, the input's too."""
    x = x.detach()
    x.stop_gradient = False
    output = network(x)
    F.mse_loss(output, target).backward()
    found = {name: weight.grad.numpy() for name, weight in network.named_parameters()} | {"x": x.grad.numpy()}
    network.clear_gradients()

    weights = {name: weight.numpy() for name, weight in network.named_parameters()}
    y, _, gradients = reference.loss_and_gradients(weights, x.numpy(), target.numpy(), activation)
    errors = {name: reference.relative_error(found[name], gradients[name]) for name in gradients}
    for name, error in errors.items():
        print(f"  gradient of {name:12} {gradients[name].shape!s:14} relative error {error:.1e}")
    return reference.relative_error(output.numpy(), y), max(errors.values())


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
    paddle.set_default_dtype(p["dtype"])
    numbers = np.random.default_rng(program.seed)

    network, teacher = (FFN(p["hidden"], p["inner"], p["activation"], p["residual"]) for _ in range(2))
    initialise(teacher, numbers, gain=2.0)  # larger weights: further from a linear map, more to learn
    initialise(network, numbers)
    weights = sum(weight.size for weight in network.parameters())
    print(f"{network}\n{weights} weights")

    def draw() -> tuple[paddle.Tensor, paddle.Tensor]:
        """Tokens that no step has seen before, and the teacher's answers: both (batch, length, hidden)."""
        x = paddle.to_tensor(numbers.normal(size=(p["batch"], p["length"], p["hidden"])).astype(p["dtype"]))
        with paddle.no_grad():
            return x, teacher(x)

    # 1. Is it the network that it should be?
    x, target = draw()
    print("before the training:")
    forward_before, gradient_before = compare(network, x, target, p["activation"])

    # 2. Does it learn?
    optimiser = paddle.optimizer.AdamW(
        learning_rate=p["learning_rate"], weight_decay=0.01, parameters=network.parameters()
    )
    losses, seconds = [], []
    for step in range(1, p["steps"] + 1):
        batch, answer = draw()
        started = time.perf_counter()
        loss = F.mse_loss(network(batch), answer)
        loss.backward()
        optimiser.step()
        optimiser.clear_grad()
        losses.append(loss.item())  # waits for the device, so that the step is timed and not its launch
        seconds.append(time.perf_counter() - started)
        if step == 1 or step % max(p["steps"] // 10, 1) == 0:
            print(f"  step {step:5}  loss {losses[-1]:.5f}")

    # 3. Is it still right with the weights that it has learnt?
    print("after the training:")
    forward_after, gradient_after = compare(network, x, target, p["activation"])
    with paddle.no_grad():
        output = network(x)

    program.used(network, output, loss)
    program.metric("forward_error", max(forward_before, forward_after))
    program.metric("gradient_error", max(gradient_before, gradient_after))
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
