"""What the tests of task 4 share: its modules, a plate, and the verdicts on it."""

import pytest

from harness.catalogue import entries
from harness.runs.judge import judge_metric


@pytest.fixture(scope="module")
def plate(load):
    return load("04-plate/plate.py").Plate()


@pytest.fixture(scope="module")
def levy(load):
    return load("04-plate/levy.py")


@pytest.fixture(scope="module")
def features(load):
    return load("04-plate/features.py")


@pytest.fixture(scope="module")
def polynomials(load):
    return load("04-plate/polynomials.py")


@pytest.fixture(scope="module")
def fields(load):
    return load("04-plate/fields.py")


@pytest.fixture(scope="module")
def accuracy(load):
    return load("04-plate/accuracy.py")


@pytest.fixture(scope="module")
def measured(load):
    return load("04-plate/measured.py")


@pytest.fixture(scope="module")
def judged():
    """`judged("relative_l2", metrics, edges="CFFF")`: the verdict of the part's own bound."""
    part = entries.load().parts["4"]

    def judged(name: str, metrics: dict, **parameters) -> str:
        return judge_metric(part, name, parameters, metrics).verdict

    return judged


@pytest.fixture
def measure(accuracy, measured, levy):
    """`measure(plate)`: every metric of the Ritz solve, by the program's own code."""

    def measure(plate, tolerance=1e-9, dtype="float64") -> dict:
        x, y = plate.grid(21)
        reference = levy.deflection(plate, x, y) if levy.exists(plate) else None
        return measured.features(accuracy.solve(plate, tolerance, dtype), x, y, reference).metrics

    return measure


@pytest.fixture(scope="module")
def make(load):
    """`make(edges="CCCC", load=dict(kind="point"))` makes a plate."""

    def make(load_of: dict | None = None, **parameters):
        loads = load("04-plate/loads.py")
        return load("04-plate/plate.py").Plate(**parameters, load=loads.Load(**(load_of or {})))

    return make
