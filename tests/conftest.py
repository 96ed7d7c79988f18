"""What every test needs: the checkout's own `harness` and `tasks`, Hypothesis without a clock, Ctrl-C, a process."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import machine_shape
import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that started this with & has switched it off
settings.register_profile("paddlehomework", deadline=None)  # machines differ
settings.load_profile("paddlehomework")


class ByFile(LoadScopeScheduling):
    """The tests of a file share a process, those of tests/integration/images with their one engine as well."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "images" if "/images/" in file else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


@pytest.fixture(autouse=True)
def _shape_of_this_machine() -> Iterator[None]:
    with machine_shape.kept():
        yield
