"""Task 6: a verdict is the last line of a reproducer that ended well; anything else proves nothing."""

from pathlib import Path

import pytest
import yaml
from folders import PROJECTS

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
    assert names == set(PART["metrics"]) - {"present", "without_verdict", "blind"}
    for path in main.reproducers():
        finding = main.Finding(path, "present", "")
        assert len(finding.title) < 120, path
        assert "Expected:" in finding.report, path


# Whether a reproducer tells the fault from its absence


def test_every_reproducer_has_a_counterfactual(main):
    assert set(main.counterfactual.EXPECTED) == {path.stem for path in main.reproducers()}


QUICK = ["register_decomp", "causal_attention", "after_infer", "one_thread", "silent_cinn", "protobuf_7"]
QUICK += ["setitem_gradient", "inplace_to_static", "ignore_index_mean"]
QUICK += ["half_truncated", "group_norm_gradient", "put_gradient"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*QUICK, "cross_mesh_reshard", "page_faults", "layer_norm_gradient", "max_gradient"])
def test_a_mended_fault_is_not_found_and_a_planted_one_is(main, name):
    path = FOLDER / "findings" / f"{name}.py"
    other = main.run(path, main.counterfactual.__file__, name)
    assert other.word == main.counterfactual.EXPECTED[name][1], other.why


@pytest.mark.parametrize("word", ["present", "absent"])
@pytest.mark.plants("6", "blind")
def test_a_reproducer_that_always_says_the_same_fails(main, reproducer, monkeypatch, verdict, word):
    path = reproducer(f"import verdict\nverdict.{word}('whatever Paddle does')")
    other = {"present": "absent", "absent": "present"}[word]
    monkeypatch.setattr(main.counterfactual, "EXPECTED", {"fault": (lambda: None, other)})
    monkeypatch.setattr(main.counterfactual, "__file__", str(path))  # the change that changes nothing
    blind = sum(not main.tells_apart(finding) for finding in [main.run(path)])
    assert verdict("6", "blind", {"blind": blind}) == "failed"


@pytest.mark.plants("6", "without_verdict")
def test_a_reproducer_that_falls_fails(main, reproducer, verdict):
    unknown = main.run(reproducer("raise ValueError")).word == "unknown"
    assert verdict("6", "without_verdict", {"without_verdict": int(unknown)}) == "failed"


def test_one_that_needs_another_machine_is_not_asked(main):
    assert main.tells_apart(main.Finding(FOLDER / "findings" / "protobuf_7.py", "elsewhere", ""))


@pytest.mark.parametrize(
    ("logs", "ends"),
    [
        (["ARRIVED", "ARRIVED"], "absent"),
        (["RuntimeError: (Unavailable) Do not support send for cpu kernel now.", ""], "present"),
        (["0 paddle::SameStatusReshardFunction::Eval\nSegmentation fault (SIGSEGV)", ""], "present"),
        (["Segmentation fault (SIGSEGV)", "ARRIVED"], None),
        (["ARRIVED"], None),
        (["Address already in use", ""], None),
    ],
)
def test_not_any_segmentation_fault_is_that_of_reshard(load, capsys, logs, ends):
    with pytest.raises(SystemExit) as stop:
        load("06-open-source/findings/cross_mesh_reshard.py").judge(logs, "")
    assert (stop.value.code in (0, None)) == (ends is not None)
    assert ends is None or capsys.readouterr().out.startswith(ends)


def test_a_report_says_what_other_versions_do_as_the_readme_does(main):
    table = main.seen("causal_attention")
    assert table.splitlines()[0] == "| Paddle | 3.0.0 | 3.1.1 | 3.2.2 | 3.3.1 |"
    assert table.splitlines()[2] == "| this fault | present | present | present | absent |"
    assert main.SEEN.keys() - {"versions"} == {path.stem for path in main.reproducers()}
    readme = (FOLDER / "README.md").read_text(encoding="utf-8").partition("What the reproducers said")[2]
    for row in readme.splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        for name in cells[0].replace("`", "").split(", ") if row.startswith("| `") else ():
            assert [cell.split(":")[0] for cell in cells[1:]] == main.SEEN[name], name
