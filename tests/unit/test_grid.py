"""The grid of docs/versions.md: filled from records, what has none left as it is."""

import importlib.util

from harness.checkout import ROOT

PAGE = """| part | other |
| --- | --- |
| 8-1 | · |

| part | CPU 3.0.0 | sim 3.3.1 |
| --- | --- | --- |
| 1 | (✓) | · |
| 8-1 | · | ✓ |

| 8-1 | · | · |
"""


def test_cells_with_a_record_are_filled_and_the_others_stay():
    spec = importlib.util.spec_from_file_location("docs_grid", ROOT / "docs" / "grid.py")
    grid = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(grid)
    marks = {("8-1", "cpu", "3.0.0"): "✓", ("8-1", "sim", "3.3.1"): "✗", ("1", "cpu", "3.3.1"): "✓"}
    wanted = PAGE.replace("| 8-1 | · | ✓ |", "| 8-1 | ✓ | ✗ |")
    assert grid.filled(PAGE, marks) == wanted
    assert grid.filled(wanted, {}) == wanted
