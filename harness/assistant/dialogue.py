"""The dialogue: a question, the answer, its code run, and what failed as the next question.

A session that stopped is continued by another, which names it and starts from its conversation, code and tests; a
sealed one never changes.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness import system, terminal
from harness.assistant import codeblocks, conversations, sandbox, verdicts
from harness.errors import UsageError
from harness.evidence import screen, sessions, transcripts
from harness.evidence.hashing import new_id, timestamp, unwritable
from harness.evidence.sealed import SESSION, of_document

RULES = (
    "You write Python. Answer with whole files, each in one ```python block, with the file's name alone on the line "
    "above the block. Use the standard library only. There is no network."
)
NO_CODE = "There was no complete ```python block in the answer. Answer with the whole file in one."
TAKEN = "Not run: a module of Python has the name of {} already. Answer with the whole file under another name."
SHOWN = 6000  # characters of an output that go back


@dataclass
class Session:
    """What one session works on: the folder that keeps it, what has been said, and the latest files.

    `before` counts the turns of the sessions that it continues, of which `continues` names the last by id and seal.
    """

    folder: Path
    endpoint: str
    model: str
    file: str
    tests: Mapping[str, str]
    messages: list[dict[str, str]]
    code: dict[str, str] = field(default_factory=dict)
    continues: Mapping[str, str] | None = None
    before: int = 0
    chain: str = transcripts.START
    turns: int = 0
    passed: bool = False


def begin(
    results: Path, part: str, question: str, endpoint: str, model: str, tests: str = "", file: str = ""
) -> Session:
    """A new session, in which nothing has been said but the question.

    Raises:
        UsageError: --tests or --file means nothing here.
    """
    file = file or "solution.py"
    texts = _tests(tests, file)
    messages = [_says("system", RULES), _says("user", _asked(question, file, texts))]
    return Session(results / sessions.FOLDER / part / new_id(), endpoint, model, file, texts, messages)


def resume(
    results: Path,
    part: str,
    prefix: str,
    question: str,
    endpoint: str = "",
    model: str = "",
    tests: str = "",
    file: str = "",
) -> Session:
    """A new session that goes on where the one whose id begins with `prefix` stopped.

    What is not given is as it was, as far as it is recorded: secrets that were taken out stay out. If its last answer
    failed, its output is the next message, and the question stands before it.

    Raises:
        UsageError: none or several begin so, its code passed and nothing is asked, or an option means nothing here.
        VerificationError: it, or one that it continues, is not as it was sealed.
    """
    last = sessions.find(results / sessions.FOLDER / part, prefix)
    lineage = sessions.lineage(last)
    then = lineage[-1]
    turns = [turn for session in lineage for turn in transcripts.read(last.with_name(session["id"]))]
    kept = {name.removeprefix("code/"): last / name for name in then["artefacts"] if name.startswith("code/")}
    code = {name: path.read_bytes().decode("utf-8", "replace") for name, path in kept.items()}
    known = {name: code.pop(name) for name in then["tests"]}
    file_name = file or then.get("file", "")
    texts = _tests(tests, file_name) or known
    failed = "" if then["passed"] else _again(turns[-1])
    asked = "\n\n".join(text for text in (question, failed) if text)
    if not asked:
        why = "Its code passed, so that there is no failure to send."
        raise UsageError(f"--continue {prefix}: a question is needed.", why, f'./inv pair --continue {prefix} "More?"')
    messages = [_says("system", RULES)]
    for turn in turns:
        messages += [_says("user", turn["question"]), _says("assistant", codeblocks.spoken(turn["answer"]))]
    messages.append(_says("user", _asked(asked, file_name, texts) if tests or file else asked))
    return Session(
        last.with_name(new_id()), endpoint or then["endpoint"], model or then["model"], file_name, texts, messages,
        code, continues={"id": then["id"], "seal": then["seal"]}, before=len(turns),
    )  # fmt: skip


def converse(session: Session, most: int) -> None:
    """Ask, run and ask again, until the code passes, at most `most` times.

    Raises:
        UsageError: the endpoint is none.
        EngineError: no answer came, or no sandbox can be made; the turns before it are kept.
        StoreError: the results cannot be written.
    """
    conversations.check(session.endpoint)
    sandbox.require()
    try:
        session.folder.mkdir(parents=True)
        try:
            _converse(session, most)
        finally:
            if not session.turns:
                shutil.rmtree(session.folder, ignore_errors=True)
    except OSError as error:
        raise unwritable(session.folder.parents[2], error) from error


# The conversation


def _tests(path: str, file: str) -> dict[str, str]:
    if Path(file).name != file or not file.endswith(".py"):
        raise UsageError(f"--file {file}: not a name.", "It is a file's name without a folder.", "--file solution.py")
    if verdicts.refused([file]):
        why = "A module of Python has the name, and would be imported instead."
        raise UsageError(f"--file {file}: the name is taken.", why, f"--file my_{file}")
    if not path:
        return {}
    if Path(path).name == file or verdicts.refused([Path(path).name]):
        why = "The tests need a name that neither the answer nor a module of Python has."
        raise UsageError(f"--tests {path}: the name is taken.", why, f"For example test_{file}")
    try:
        return {Path(path).name: Path(path).expanduser().read_text(encoding="utf-8")}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--tests {path}: it cannot be read.", f"{error}.", "Name a Python file.") from error


def _converse(session: Session, most: int) -> None:
    for turn in range(session.before + 1, session.before + most + 1):
        print(terminal.bold(f"— turn {turn} of {session.before + most} —"))
        answer = _listen(session)
        said = {"question": session.messages[-1]["content"], "answer": answer, **_try(session, answer)}
        with system.undisturbed():  # a half turn would be a session that nobody can continue
            _keep(session, turn, said)
            _seal(session)  # after every turn, so that a session that is killed keeps those before
        if session.passed:
            return
        session.messages += [_says("assistant", codeblocks.spoken(answer)), _says("user", _again(said))]


def _says(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _asked(question: str, file: str, tests: Mapping[str, str]) -> str:
    blocks = "".join(f"\n\nIt has to pass {name}:\n```python\n{text}```" for name, text in tests.items())
    return f"{question}\n\nThe file is called {file}.{blocks}"


def _again(turn: Mapping[str, str]) -> str:
    """What goes back after a turn that failed."""
    if not turn["diff"]:
        return turn["result"]
    return f"{turn['result']}\n\n{turn['output'][-SHOWN:]}\n\nCorrect it, and answer with the whole file."


def _listen(session: Session) -> str:
    """The answer, which the terminal shows as it comes, without what would steer the terminal.

    A character beyond 16 bits may come as two halves in two pieces; a half that stays alone is none.
    """
    pieces = []
    for piece in conversations.ask(session.endpoint, session.model, session.messages):
        pieces.append(piece)
        print(_harmless(piece), end="", flush=True)
    print()
    return "".join(pieces).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _harmless(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")


def _try(session: Session, answer: str) -> dict[str, str]:
    """Run an answer's code: the diff against the latest files, the result in words, and the output."""
    found = {name: text for name, text in codeblocks.files(answer, session.file).items() if name not in session.tests}
    if not found:
        print(terminal.yellow(NO_CODE))
        return {"diff": "", "result": NO_CODE, "output": ""}
    if taken := verdicts.refused(found):
        print(terminal.yellow(said := TAKEN.format(", ".join(taken))))
        return {"diff": "", "result": said, "output": ""}
    after = {**session.code, **found}
    diff = codeblocks.diff(session.code, after) or "(unchanged)"
    print(terminal.bold(f"Taken from the answer: {', '.join(found)}"))
    for line in _harmless(diff).splitlines():
        paint = {"+": terminal.green, "-": terminal.red}.get(line[:1], str)
        print(paint(line))
    session.code = after
    outcome = verdicts.judge(after, session.tests, session.file)
    session.passed = outcome.passed
    why = f": {outcome.stopped}" if outcome.stopped else f", exit status {outcome.status}"
    result = sessions.GOOD if session.passed else f"It failed{why}."
    print(_harmless(outcome.output[-SHOWN:]).rstrip())
    print((terminal.green if session.passed else terminal.red)(result))
    return {"diff": diff, "result": result, "output": outcome.output}


def _keep(session: Session, turn: int, said: Mapping[str, str]) -> None:
    clean = {name: conversations.redactor().text(text) for name, text in said.items()}
    at = timestamp(datetime.now(timezone.utc))
    session.chain = transcripts.append(session.folder, {"turn": turn, "at": at, **clean}, session.chain)
    session.turns += 1
    shown = {"question": 12, "answer": 12, "diff": 20, "output": 12}
    text = "\n".join(f"[{name}]\n" + "\n".join(clean[name].splitlines()[:most]) for name, most in shown.items())
    content = f"{_harmless(text)}\n[{clean['result']}]".encode()
    screen.draw_text(
        session.folder / f"turn-{turn}.png", f"{session.model}, turn {turn}", content, f"turn sha256:{session.chain}"
    )


def _seal(session: Session) -> None:
    turns = transcripts.read(session.folder)
    (session.folder / sessions.CONVERSATION).write_text(transcripts.markdown(turns), encoding="utf-8")
    code = session.folder / "code"
    code.mkdir(exist_ok=True)
    for name, text in {**session.code, **session.tests}.items():
        (code / name).write_text(conversations.redactor().text(text), encoding="utf-8")
    document: dict[str, Any] = {
        "schema": 1,
        "id": session.folder.name,
        "part": session.folder.parent.name,
        "endpoint": session.endpoint,
        "model": session.model,
        "file": session.file,
        **({"continues": session.continues} if session.continues else {}),
        "turns": session.turns,
        "passed": session.passed,
        "tests": [*session.tests],
    }
    of_document(SESSION, document).write(session.folder.parents[2], document, session.folder)
