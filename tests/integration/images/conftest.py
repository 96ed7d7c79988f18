"""The fixtures of the tests of images: all share one container engine, and so a process (tests/conftest.py)."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from checkouts import Checkout
from containers import BUILD_SECONDS, CPU, an_engine, checkout_on_the_base

from harness.environments.client import Client


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One engine with one base for all tests of the session."""
    with an_engine(tmp_path_factory.mktemp("dockerd") / "log") as found:
        yield found


@pytest.fixture(scope="session")
def place(engine: Client, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with the real projects, whose images stand on the base made here."""
    return checkout_on_the_base(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def built(place: Checkout, engine: Client) -> Mapping[str, Any] | None:
    """The CPU's image, built by the word that a person types."""
    done = place("build", "--hw", "cpu", timeout=BUILD_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    return engine.inspect(CPU)
