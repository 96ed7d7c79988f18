"""TensorBoard's writer in plain Python: where TensorBoard is not installed, both sides of a comparison have it."""

import os


class SummaryWriter:
    """TensorBoard's writer: what it is given is kept as lines of text in its folder."""

    def __init__(self, log_dir="runs", *_, **__):
        self.log_dir = str(log_dir or "runs")
        os.makedirs(self.log_dir, exist_ok=True)
        self.file = open(os.path.join(self.log_dir, "scalars.txt"), "a", encoding="utf-8")  # noqa: SIM115

    def add_scalar(self, tag, scalar_value, global_step=None, *_, **__):
        self.file.write(f"{tag} {global_step} {float(scalar_value)}\n")

    def add_scalars(self, tag, values, global_step=None, *_, **__):
        for name, value in values.items():
            self.add_scalar(f"{tag}/{name}", value, global_step)

    def __getattr__(self, name):
        if name.startswith("add_"):
            return lambda *_, **__: None
        raise AttributeError(name)

    def flush(self):
        self.file.flush()

    def close(self):
        self.file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
