"""The registry of dispatchers, by the names that `--on` gives them. A new scheduler is one folder and one entry."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from harness.dispatch.dispatcher import Dispatcher
from harness.dispatch.listed.job import Scheduler


def _here() -> Dispatcher[Any]:
    from harness.dispatch.here import Here

    return Here()


def _ssh() -> Dispatcher[Any]:
    from harness.dispatch.ssh.dispatch import Ssh

    return Ssh()


def _slurm() -> Dispatcher[Any]:
    from harness.dispatch.slurm.dispatch import Slurm

    return Slurm(scheduler)


def _kubernetes() -> Dispatcher[Any]:
    from harness.dispatch.kubernetes.dispatch import Kubernetes

    return Kubernetes(scheduler)


@cache
def scheduler(name: str) -> Scheduler:
    """What answers for the jobs of a batch of the list."""
    if name == "slurm":
        from harness.dispatch.slurm.scheduler import SlurmScheduler

        return SlurmScheduler()
    from harness.dispatch.kubernetes.scheduler import KubernetesScheduler

    return KubernetesScheduler()


DISPATCHERS: Mapping[str, Callable[[], Dispatcher[Any]]] = {  # each is loaded when it is asked for
    "here": _here,
    "ssh": _ssh,
    "slurm": _slurm,
    "kubernetes": _kubernetes,
}


def schedulers() -> list[str]:
    """What `--on` may name beside the engines of this machine."""
    return [name for name in DISPATCHERS if name not in ("here", "ssh")]


def dispatcher(on: str, host: str = "") -> Dispatcher[Any]:
    """What takes cells to `host`, or to where `on` says: a scheduler, with what is behind a colon for it; else here."""
    name = on.partition(":")[0]
    return DISPATCHERS["ssh" if host else name if name in schedulers() else "here"]()
