"""The fixture of the integration tests; what it is made of stands in checkouts.py."""

from pathlib import Path

import pytest
from checkouts import Checkout, copy_of_this_checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return copy_of_this_checkout(tmp_path / "checkout")
