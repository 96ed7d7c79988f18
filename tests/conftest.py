"""What every test needs: the checkout's own `harness` and `tasks`, and Hypothesis without a clock (machines differ)."""

import sys
from pathlib import Path

from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

settings.register_profile("paddlehomework", deadline=None)
settings.load_profile("paddlehomework")
