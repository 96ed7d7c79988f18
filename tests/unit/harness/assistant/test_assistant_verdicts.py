"""Verdicts: right answers of every usual kind pass, and none that is wrong does, whatever it tries."""

from pathlib import Path

import pytest
import yaml

from harness.assistant import sandbox, verdicts

pytestmark = pytest.mark.usefixtures("namespaces")
DATA = Path(__file__).parents[3] / "data" / "pairing"
ATTACKS = yaml.safe_load((DATA / "attacks.yaml").read_text())
QUICK = sandbox.Limits(seconds=6, memory=512 * 2**20, disk=2**20, processes=32)
RIGHT = "def add(a, b):\n    return a + b\n"
TESTS = """
import unittest
from sums import add

class Sums(unittest.TestCase):
    def test_equal(self):
        self.assertEqual(add(2, 3), 5)
    def test_close(self):
        self.assertAlmostEqual(add(0.1, 0.2), 0.3)
    def test_less(self):
        self.assertGreater(add(2, 3), 4)
    def test_raises(self):
        with self.assertRaises(TypeError):
            add(1)
"""


def judged(code: str, tests: str = TESTS) -> sandbox.Outcome:
    return verdicts.judge({"sums.py": code}, {"test_sums.py": tests}, "sums.py", QUICK)


def test_a_right_answer_passes_and_a_wrong_one_does_not():
    assert judged(RIGHT).passed
    wrong = judged(RIGHT.replace("+", "-"))
    assert not wrong.passed and "-1 != 5" in wrong.output


@pytest.mark.parametrize("name", ATTACKS)
def test_no_wrong_answer_passes(name):
    assert not judged(ATTACKS[name]).passed


def test_what_tests_usually_do_with_an_answer_works():
    code, tests = ((DATA / name).read_text() for name in ("everything.txt", "test_everything.txt"))
    outcome = verdicts.judge({"everything.py": code}, {"test_everything.py": tests}, "everything.py")
    assert outcome.passed, outcome.output


@pytest.mark.parametrize(
    "tests",
    [
        "exec(open('sums.py').read())\ndef test_a(): assert add(2, 3) == 5\n",
        "import runpy\nadd = runpy.run_path('sums.py')['add']\ndef test_a(): assert add(2, 3) == 5\n",
        "import sums\ndef test_a(): assert eval(repr(sums.add(2, 3))) == 5\n",
        "import pickle\nclass A: pass\ndef test_a(): assert pickle.loads(pickle.dumps(A()))\n",
        "import sys\nfrom importlib import import_module\nsys.path.insert(0, '/pairing')\n"
        "def test_a(): import_module('planted')\n",
    ],
)
def test_tests_that_would_run_the_answer_where_the_verdict_is_made_do_not_pass(tests):
    planted = "open('planted.py', 'w').write('x = 1')\n"
    outcome = judged(RIGHT + planted, "import sums\n" + tests)
    assert not outcome.passed and "import the answer instead" in outcome.output


@pytest.mark.parametrize("tests", ["", "import sums\n", "import unittest\n@unittest.skip('no')\ndef test_a(): pass\n"])
def test_no_test_is_no_pass(tests):
    assert not judged(RIGHT, tests).passed


def test_a_process_without_an_end_is_ended():
    outcome = judged("while True: pass\n")
    assert not outcome.passed and outcome.stopped == "longer than 6 s"


def test_names_of_modules_are_refused():
    assert verdicts.refused(["random.py", "sums.py", "conftest.py"]) == ["random.py", "conftest.py"]
