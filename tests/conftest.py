"""What every test needs: the checkout's own `harness` and `tasks`, Hypothesis without a clock, and Ctrl-C."""

import signal
import sys
from pathlib import Path

from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that started this with & has switched it off
settings.register_profile("paddlehomework", deadline=None)  # machines differ
settings.load_profile("paddlehomework")
