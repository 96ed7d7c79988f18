"""Pairing: a person asks a model for code, and what fails goes back to it, until the tests pass.

results/pairing/<part>/<id>/     session.json (sealed), transcript.jsonl, conversation.md, turn-N.png, code/

A session that stopped is continued by another, which names it and starts from its conversation, code and tests; a
sealed one never changes. A session is no attachment: it earns nothing until the person attaches it as their own.
"""

import contextlib
import json
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness import codeblocks, conversations, datafiles, sandbox, screen, terminal, transcripts
from harness.errors import VerificationError, WordsError
from harness.records import hash_files, new_id, seal_of, timestamp, unwritable, write_json

FOLDER = "pairing"
FILE = "session.json"
CONVERSATION = "conversation.md"
RULES = (
    "You write Python. Answer with whole files, each in one ```python block, with the file's name alone on the line "
    "above the block. Use the standard library only. There is no network."
)
NO_CODE = "There was no complete ```python block in the answer. Answer with the whole file in one."
SHOWN = 6000  # characters of an output that go back
PASSED = "tests passed"
GOOD = "It passed"
RUNNER = f"""
import runpy, sys, unittest
sys.path.insert(0, "/pairing")
try:
    names = runpy.run_path(sys.argv[1], run_name="tests")
    cases = [each for each in names.values() if isinstance(each, type) and issubclass(each, unittest.TestCase)]
    functions = [unittest.FunctionTestCase(each) for name, each in names.items() if name.startswith("test_")]
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    suite = unittest.TestSuite([*map(load, cases), *functions])
    count = suite.countTestCases()
    done = unittest.TextTestRunner(stream=sys.stdout).run(suite)
except SystemExit as error:
    sys.exit(f"the program ended itself: {{error.code}}")
if not done.wasSuccessful() or done.skipped or not count:
    sys.exit(f"{{count}} tests, not all passed")
print(count, "{PASSED}")
"""


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
        WordsError: --tests or --file means nothing here.
    """
    file = file or "solution.py"
    texts = _tests(tests, file)
    messages = [_says("system", RULES), _says("user", _asked(question, file, texts))]
    return Session(results / FOLDER / part / new_id(), endpoint, model, file, texts, messages)


def resume(
    results: Path,
    part: str,
    word: str,
    question: str,
    endpoint: str = "",
    model: str = "",
    tests: str = "",
    file: str = "",
) -> Session:
    """A new session that goes on where the one whose id begins with `word` stopped.

    What is not given is as it was, as far as it is recorded: secrets that were taken out stay out. If its last answer
    failed, its output is the next message, and the question stands before it.

    Raises:
        WordsError: none or several begin so, its code passed and nothing is asked, or a word means nothing here.
        VerificationError: it, or one that it continues, is not as it was sealed.
    """
    last = _find(results / FOLDER / part, word)
    sessions = lineage(last)
    then = sessions[-1]
    turns = [turn for session in sessions for turn in transcripts.read(last.with_name(session["id"]))]
    kept = {name.removeprefix("code/"): last / name for name in then["artefacts"] if name.startswith("code/")}
    code = {name: path.read_bytes().decode("utf-8", "replace") for name, path in kept.items()}
    known = {name: code.pop(name) for name in then["tests"]}
    file_name = file or then.get("file", "")
    texts = _tests(tests, file_name) or known
    failed = "" if then["passed"] else _again(turns[-1])
    asked = "\n\n".join(text for text in (question, failed) if text)
    if not asked:
        why = "Its code passed, so that there is no failure to send."
        raise WordsError(f"--continue {word}: a question is needed.", why, f'./inv pair --continue {word} "What else?"')
    messages = [_says("system", RULES)]
    for turn in turns:
        messages += [_says("user", turn["question"]), _says("assistant", turn["answer"])]
    messages.append(_says("user", _asked(asked, file_name, texts) if tests or file else asked))
    return Session(
        last.with_name(new_id()), endpoint or then["endpoint"], model or then["model"], file_name, texts, messages,
        code, continues={"id": then["id"], "seal": then["seal"]}, before=len(turns),
    )  # fmt: skip


def converse(session: Session, most: int) -> None:
    """Ask, run and ask again, until the code passes, at most `most` times.

    Raises:
        WordsError: the endpoint is none.
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


# Sessions that are there


def _find(sessions: Path, word: str) -> Path:
    there = sorted(path.parent.name for path in sessions.glob(f"*/{FILE}"))
    matching = [name for name in there if name.startswith(word)]
    if len(matching) != 1:
        what = f"{len(matching)} sessions begin so" if matching else "no such session"
        shown = ", ".join((matching or there)[-10:]) or "none"
        raise WordsError(f"--continue {word}: {what}.", f"There are: {shown}.", "Write a session's id, or more of it.")
    return sessions / matching[0]


def place(session: Mapping[str, Any]) -> str:
    """Where a session stands, below results/."""
    return f"{FOLDER}/{session['part']}/{session['id']}"


def lineage(folder: Path) -> list[dict[str, Any]]:
    """The session in `folder`, and before it those that it continues, the oldest first.

    Raises:
        VerificationError: one of them is not as it was sealed.
    """
    sessions = [read(folder)]
    while "continues" in sessions[0]:
        sessions.insert(0, read(folder.with_name(sessions[0]["continues"]["id"])))
    return sessions


def read(folder: Path) -> dict[str, Any]:
    """The session in `folder`.

    Raises:
        VerificationError: it is not as it was sealed.
    """
    if found := verify(folder):
        shown = "\n".join(found[:5])
        raise VerificationError(
            f"{folder.name}: this session is not as it was sealed.", shown,
            "Fetch it where it is whole (./inv download), or begin a new one with ./inv pair.",
        )  # fmt: skip
    return dict(json.loads((folder / FILE).read_bytes()))


def verify(folder: Path) -> list[str]:
    """Everything about a session that is not as it says, a line each: its seal, its files, its chain of turns."""
    try:
        document = json.loads((folder / FILE).read_bytes())
        if mistake := datafiles.mistake(document, "session"):
            return [f"{folder / FILE}: {mistake}"]
        sealed = document["seal"] == seal_of(document)
        turns = transcripts.read(folder)
        told = (folder / CONVERSATION).read_bytes() == transcripts.markdown(turns).encode()
    except (OSError, ValueError, RecursionError) as error:
        return [f"{folder / FILE}: not readable: {error}"]
    except VerificationError as error:
        return [str(error).replace("\n", " ")]
    files = document["artefacts"]
    present = {name: file for name, file in hash_files(folder).items() if name != FILE}
    differ = sorted(name for name in {**files, **present} if files.get(name) != present.get(name))
    found = [] if sealed else [f"{folder / FILE}: its seal is broken"]
    found += [f"{folder / name}: changed after the session, missing, or none of its files" for name in differ]
    if folder.resolve().parts[-2:] != (document["part"], document["id"]):
        found.append(f"{folder}: it is the session {document['part']}/{document['id']}")
    if len(turns) != document["turns"]:
        found.append(f"{folder / FILE}: it says {document['turns']} turns, and there are {len(turns)}")
    elif document["passed"] != (turns[-1]["result"] == GOOD):
        found.append(f"{folder / FILE}: whether it passed is not what its last turn says")
    if not told:
        found.append(f"{folder / CONVERSATION}: it is not what the transcript says")
    found += [f"{folder}: its tests {name} are missing" for name in document["tests"] if f"code/{name}" not in files]
    return found + (absent(folder.parent, document["continues"]) if "continues" in document else [])


def absent(sessions: Path, named: Mapping[str, str]) -> list[str]:
    """A line if the session that is named by id and seal is not in the folder `sessions`."""
    path = sessions / named["id"] / FILE
    try:
        if json.loads(path.read_bytes())["seal"] == named["seal"]:
            return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return [f"{path}: missing, or not the session with the seal {named['seal']}"]


# The conversation


def _tests(path: str, file: str) -> dict[str, str]:
    if Path(file).name != file or not file.endswith(".py"):
        raise WordsError(f"--file {file}: not a name.", "It is a file's name without a folder.", "--file solution.py")
    if not path:
        return {}
    try:
        return {Path(path).name: Path(path).expanduser().read_text(encoding="utf-8")}
    except (OSError, UnicodeDecodeError) as error:
        raise WordsError(f"--tests {path}: it cannot be read.", f"{error}.", "Name a Python file.") from error


def _converse(session: Session, most: int) -> None:
    for turn in range(session.before + 1, session.before + most + 1):
        print(terminal.bold(f"— turn {turn} of {session.before + most} —"))
        answer = _listen(session)
        said = {"question": session.messages[-1]["content"], "answer": answer, **_try(session, answer)}
        with _undisturbed():
            _keep(session, turn, said)
            _seal(session)  # after every turn, so that a session that is killed keeps those before
        if session.passed:
            return
        session.messages += [_says("assistant", answer), _says("user", _again(said))]


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits meanwhile, for half a turn would be a session that nobody can continue."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
    after = {**session.code, **found}
    diff = codeblocks.diff(session.code, after) or "(unchanged)"
    print(terminal.bold(f"Taken from the answer: {', '.join(found)}"))
    for line in _harmless(diff).splitlines():
        paint = {"+": terminal.green, "-": terminal.red}.get(line[:1], str)
        print(paint(line))
    session.code = after
    words = ["-c", RUNNER, next(iter(session.tests))] if session.tests else [session.file]
    outcome = sandbox.run({**after, **session.tests}, words)
    last = outcome.output.rstrip().rpartition("\n")[2]
    session.passed = outcome.passed and (not session.tests or last.endswith(PASSED))
    why = f": {outcome.stopped}" if outcome.stopped else f", exit status {outcome.status}"
    result = GOOD if session.passed else f"It failed{why}."
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
    (session.folder / CONVERSATION).write_text(transcripts.markdown(turns), encoding="utf-8")
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
        "artefacts": {name: file for name, file in hash_files(session.folder).items() if name != FILE},
    }
    document["seal"] = seal_of(document)
    write_json(session.folder / FILE, document)
