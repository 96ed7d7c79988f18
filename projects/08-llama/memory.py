"""Memory that is measured."""

import paddle


class Memory:
    """Bytes of Paddle's tensors on this rank's device, by Paddle's own count, without an allocator's spare room."""

    def __init__(self) -> None:
        kind, _, number = paddle.get_device().partition(":")
        where, self.number = ("host" if kind == "cpu" else "device"), int(number or 0)
        core = paddle.base.core
        self._now, self._peak, self._forget = (
            getattr(core, f"{where}_memory_stat_{what}") for what in ("current_value", "peak_value", "reset_peak_value")
        )
        self.before = self._now("Allocated", self.number)

    def forget_peak(self) -> None:
        self._forget("Allocated", self.number)

    def peak(self) -> int:
        """The most since `forget_peak`, without what there was before this object."""
        return self._peak("Allocated", self.number) - self.before
