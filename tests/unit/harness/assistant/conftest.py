"""What the tests of code that runs in the sandbox share."""

import pytest

from harness.assistant import sandbox
from harness.errors import EngineError


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skips the test where no sandbox can be made."""
    try:
        sandbox.require()
    except EngineError as error:
        pytest.skip(str(error))
