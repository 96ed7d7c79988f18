"""Task 6: a verdict is the last line of a reproducer that ended well; anything else proves nothing."""

from pathlib import Path

import pytest
import yaml
from conftest import PROJECTS

FOLDER = PROJECTS / "06-open-source"
PART = yaml.safe_load((FOLDER / "project.yaml").read_text(encoding="utf-8"))["parts"]["6"]


@pytest.fixture(scope="module")
def main(load):
    return load("06-open-source/main.py")


@pytest.fixture
def reproducer(tmp_path: Path):
    """`reproducer(code)` writes one with a docstring and gives its path."""

    def write(code: str) -> Path:
        path = tmp_path / "fault.py"
        text = '"""A title\n\nWhat happens. Expected: nothing.\n"""\n'
        path.write_text(f"{text}\nimport sys\nsys.path.append({str(FOLDER / 'findings')!r})\n{code}", encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("word", ["present", "absent", "elsewhere"])
def test_a_verdict_is_read_with_its_reason(main, reproducer, word):
    finding = main.run(reproducer(f"import verdict\nprint('noise')\nverdict.{word}('two\\n  lines')"))
    assert (finding.word, finding.why) == (word, "two lines")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('all is well')", "all is well"),
        ("print('present: said, and then fell', flush=True); raise ValueError('why')", "ValueError: why"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "-11"),
        ("print('perhaps: so')", "perhaps: so"),
        ("", "no verdict"),
    ],
)
def test_an_end_without_a_verdict_is_unknown(main, reproducer, code, said):
    finding = main.run(reproducer(code))
    assert finding.word == "unknown"
    assert said in finding.why


def test_a_reproducer_that_hangs_is_unknown(main, reproducer):
    finding = main.run(reproducer("import time; time.sleep(60)"), seconds=0.5)
    assert (finding.word, finding.why) == ("unknown", "no end after 0.5 s")


def test_a_report_has_the_fault_the_output_and_code_that_runs(main, reproducer):
    finding = main.run(reproducer("import verdict\nverdict.present('it fails')"))
    report = finding.report
    assert report.startswith("# A title\n\n### bug描述 Describe the Bug\n\nWhat happens. Expected: nothing.\n")
    assert "    present: it fails\n" in report
    code = report.partition("```python\n")[2].partition("```")[0]
    compile(code, "report", "exec")
    assert code.rstrip().endswith("verdict.present('it fails')")


def test_every_reproducer_is_judged_and_has_a_title_and_a_text(main):
    names = {path.stem for path in main.reproducers()}
    assert names == set(PART["metrics"]) - {"present", "without_verdict"}
    for path in main.reproducers():
        finding = main.Finding(path, "present", "")
        assert len(finding.title) < 120, path
        assert "Expected:" in finding.report, path
