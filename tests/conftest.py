"""What every test needs: the checkout's own `harness` and `tasks`, Hypothesis without a clock, Ctrl-C, a process."""

import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that started this with & has switched it off
settings.register_profile("paddlehomework", deadline=None)  # machines differ
settings.load_profile("paddlehomework")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file share a process, where there are several; all files with the one engine share one."""
    engine = {item.path for item in items if "engine" in getattr(item, "fixturenames", ())}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("engine" if item.path in engine else item.path.stem))
