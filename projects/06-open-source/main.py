"""Task 6: faults of Paddle that this homework met, each as a small program that says whether this Paddle has it.

    ./inv python projects/06-open-source/main.py --part 6 --device cpu
    ./inv python projects/06-open-source/findings/register_decomp.py       # one alone

Every reproducer runs in a process of its own and ends with its verdict: present, absent, or elsewhere (it needs another
machine or other packages). One that ends without a verdict proves nothing, and the part fails. For each fault that is
present, `reports/<name>.md` is a report in the form of Paddle's bug template, ready for a person to look through and
post. Nothing is posted here: points wait for the pull request that a person opens.

A reproducer that says the same whatever Paddle does would pass all this. So each is run once more in a Paddle with the
fault mended, or planted where there is none (counterfactual.py), and has to say so.
"""

import ast
import json
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import counterfactual
import paddle

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
sys.path.append(str(Path(__file__).resolve().parent / "findings"))
import kit
from verdict import WORDS

FINDINGS = Path(__file__).resolve().parent / "findings"
SEEN = json.loads(Path(__file__).with_name("seen.json").read_text(encoding="utf-8"))
SECONDS = 120
REPORT = """# {title}

### bug描述 Describe the Bug

{text}

What it printed here:

    {output}

Code that shows it (its last line is the verdict; `verdict.py` only prints it and ends the process):

```python
{code}
```

### 其他补充信息 Additional Supplementary Information

Paddle {version}, commit {commit}; Python {python}; {system}

What it said on the CPU wheels (*elsewhere*: it needs another machine, such as another processor, or other packages):

{seen}
"""


@dataclass(frozen=True)
class Finding:
    """What a reproducer said. `word` is one of WORDS, or "unknown" if it ended without a verdict."""

    path: Path
    word: str
    why: str

    @property
    def title(self) -> str:
        return self._docstring.splitlines()[0]

    @property
    def report(self) -> str:
        """The report in the form of Paddle's bug template."""
        code = self.path.read_text(encoding="utf-8")
        body = code.partition('"""\n')[2].lstrip()  # what follows the docstring
        return REPORT.format(
            title=self.title,
            text="\n".join(self._docstring.splitlines()[1:]).strip(),
            output=f"{self.word}: {self.why}",
            code=body.rstrip(),
            version=paddle.version.full_version,
            commit=paddle.version.commit,
            python=platform.python_version(),
            system=platform.platform(),
            seen=seen(self.path.stem),
        )

    @property
    def _docstring(self) -> str:
        return ast.get_docstring(ast.parse(self.path.read_text(encoding="utf-8"))) or self.path.stem


def seen(name: str) -> str:
    """What was seen of a fault with other versions, as a table."""
    if name not in SEEN:
        return "It was not tried with other versions."
    rows = ("Paddle", *SEEN["versions"]), ("---",) * (1 + len(SEEN["versions"])), ("this fault", *SEEN[name])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def reproducers() -> list[Path]:
    return sorted(path for path in FINDINGS.glob("*.py") if path.name != "verdict.py")


def run(path: Path, *through: str | Path, seconds: float = SECONDS) -> Finding:
    """Run one reproducer and read its verdict: the last line, and only if it ended well.

    `through`: a program with its words that runs it; none: by itself.
    """
    command = [sys.executable, *(through or [path])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds)
    except subprocess.TimeoutExpired:
        return Finding(path, "unknown", f"no end after {seconds:g} s")
    last = (done.stdout.strip().splitlines() or [""])[-1]
    word, _, why = last.partition(": ")
    if done.returncode == 0 and word in WORDS:
        return Finding(path, word, why)
    said = (done.stderr.strip().splitlines() or [last])[-1]
    return Finding(path, "unknown", f"it ended with {done.returncode} and no verdict: {said}"[:300])


def tells_apart(finding: Finding) -> bool:
    """Whether the reproducer says the other thing of a Paddle with that fault mended, or planted.

    One that needs another machine is not asked; nor is one whose fault this Paddle has already where it would be
    planted, or has mended by itself.
    """
    expected = counterfactual.EXPECTED[finding.path.stem][1]
    if finding.word in ("elsewhere", expected):
        return True
    other = run(finding.path, counterfactual.__file__, finding.path.stem)
    print(f"          │   {'planted' if expected == 'present' else 'mended'}: {other.word}, {other.why}", flush=True)
    return other.word == expected


def main() -> None:
    program = kit.start(__file__, __doc__)
    program.used(paddle.ones([1]))
    reports = program.artefact("reports")
    reports.mkdir(exist_ok=True)

    found, blind = [], []
    for path in reproducers():
        finding = run(path)
        found.append(finding)
        print(f"{finding.word:9} │ {finding.title}\n          │   {finding.why}", flush=True)
        program.metric(path.stem, finding.word)
        if finding.word == "present":
            (reports / f"{path.stem}.md").write_text(finding.report, encoding="utf-8")
        if not tells_apart(finding):
            blind.append(path.stem)

    present = [finding for finding in found if finding.word == "present"]
    print(
        f"\n{len(present)} of {len(found)} are in Paddle {paddle.version.full_version}; their reports are in reports/."
    )
    program.metric("present", len(present))
    program.metric("without_verdict", sum(finding.word == "unknown" for finding in found))
    program.metric("blind", len(blind))
    program.finish()


if __name__ == "__main__":
    main()
