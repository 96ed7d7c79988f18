"""Pairing against a real HTTP server that speaks the protocol; hostile code really runs."""

import json
import re
import shutil
import signal
from pathlib import Path

import pytest
from chat_endpoint import Endpoint, block, serving
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.assistant import conversations, dialogue
from harness.errors import EngineError, UsageError, VerificationError
from harness.evidence import screen, sessions, transcripts
from harness.evidence.hashing import hash_files, seal_of, write_json
from harness.evidence.sealed import here

pytestmark = pytest.mark.usefixtures("namespaces")
RIGHT = "def add(a, b):\n    return a + b\n"
WRONG = "def add(a, b):\n    return a - b\n"
TESTS = "from sums import add\n\ndef test_add():\n    assert add(2, 3) == 5\n"


@pytest.fixture
def tests_file(tmp_path: Path) -> str:
    path = tmp_path / "test_sums.py"
    path.write_text(TESTS)
    return str(path)


def ask(results: Path, endpoint: Endpoint, tests: str = "", most: int = 3) -> tuple[Path, bool]:
    session = dialogue.begin(results, "12", "Add two numbers.", endpoint.address, "m", tests, "sums.py")
    dialogue.converse(session, most)
    return session.folder, session.passed


def go_on(results: Path, word: str, question: str = "", most: int = 3, **given: str) -> dialogue.Session:
    session = dialogue.resume(results, "12", word, question, **given)
    dialogue.converse(session, most)
    return session


def test_what_fails_goes_back_until_it_passes(results, endpoint, tests_file, capsys):
    endpoint.answers = [block(WRONG), "No code today.", block(RIGHT)]
    folder, passed = ask(results, endpoint, tests_file)
    assert passed
    assert "AssertionError" in endpoint.asked[1]["messages"][-1]["content"]
    assert endpoint.asked[2]["messages"][-1]["content"] == dialogue.NO_CODE
    assert [turn["result"][:9] for turn in transcripts.read(folder)] == ["It failed", "There was", "It passed"]
    assert (folder / "code/sums.py").read_text() == RIGHT
    assert sorted(path.name for path in folder.glob("*.png")) == ["turn-1.png", "turn-2.png", "turn-3.png"]
    shown = capsys.readouterr().out
    assert "-    return a - b\n+    return a + b" in shown
    assert "Taken from the answer: sums.py" in shown and dialogue.NO_CODE in shown
    assert "\033" not in shown


def test_the_key_is_sent_and_kept_nowhere(results, endpoint, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "k3y-of-mine")
    endpoint.answers = [block("print('k3y-of-mine')\n"), 401]
    folder, _ = ask(results, endpoint, most=1)
    assert endpoint.keys == ["Bearer k3y-of-mine"]
    assert not [path for path in folder.rglob("*") if path.is_file() and b"k3y-of-mine" in path.read_bytes()]
    with pytest.raises(EngineError, match="401") as caught:
        ask(results, endpoint)
    assert "OPENAI_API_KEY" in caught.value.remedy
    assert "k3y" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "said"),
    [(404, "a model of"), (429, "Wait"), (500, "500"), ("broken", "broke off"), ("endless", "does not end")],
)
def test_a_refusal_says_what_to_do_and_leaves_nothing(results, endpoint, answer, said):
    endpoint.answers = [answer]
    with pytest.raises(EngineError) as caught:
        ask(results, endpoint)
    assert said in str(caught.value)
    assert not list(results.glob("pairing/12/*"))


def test_an_answer_that_is_no_json_is_a_refusal(results, endpoint):
    endpoint.answers = [b"data: {not json\n\n"]
    with pytest.raises(EngineError, match="no whole answer"):
        ask(results, endpoint)
    assert not list(results.glob("pairing/12/*"))


def test_a_stream_that_says_nothing_is_ended(results, endpoint, monkeypatch):
    monkeypatch.setattr(conversations, "LONGEST_SECONDS", 0.2)
    endpoint.answers = ["busy"]
    with pytest.raises(EngineError, match=r"did not end within 0\.2 s"):
        ask(results, endpoint)


def test_a_later_refusal_keeps_the_turns_before(results, endpoint, tests_file):
    endpoint.answers = [block(WRONG), 500]
    with pytest.raises(EngineError):
        ask(results, endpoint, tests_file)
    (folder,) = results.glob("pairing/12/*")
    assert json.loads((folder / "session.json").read_text())["turns"] == 1


def test_ctrl_c_keeps_the_finished_turns(results, endpoint, tests_file):
    endpoint.answers = [block(WRONG), "interrupt"]
    with pytest.raises(KeyboardInterrupt):
        ask(results, endpoint, tests_file)
    (folder,) = results.glob("pairing/12/*")
    assert json.loads((folder / "session.json").read_text())["turns"] == len(transcripts.read(folder)) == 1


def test_ctrl_c_waits_until_a_turn_is_sealed(results, endpoint, tests_file, monkeypatch):
    draw = screen.draw_text
    monkeypatch.setattr(screen, "draw_text", lambda *words: (signal.raise_signal(signal.SIGINT), draw(*words)))
    endpoint.answers = [block(WRONG), block(RIGHT)]
    with pytest.raises(KeyboardInterrupt):
        ask(results, endpoint, tests_file)
    (folder,) = results.glob("pairing/12/*")
    assert sessions.verify(folder) == [] and len(transcripts.read(folder)) == 1


def test_a_character_that_comes_in_halves_is_kept_whole(results, endpoint):
    halves = [{"choices": [{"delta": {"content": text}}]} for text in ("\ud83d", "\ude00", " and \ud83d alone")]
    endpoint.answers = [b"".join(b"data: %s\n\n" % json.dumps(half).encode() for half in halves) + b"data: [DONE]\n\n"]
    folder, _ = ask(results, endpoint, most=1)
    assert transcripts.read(folder)[0]["answer"] == "\U0001f600 and \ufffd alone"


# Sessions that go on


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_continued_session_asks_what_the_first_would_have_asked_next(results, endpoint, tests_file):
    endpoint.answers = [block(WRONG), block(RIGHT)]
    ask(results, endpoint, tests_file)
    endpoint.answers = [block(WRONG)]
    first, _ = ask(results, endpoint, tests_file, most=1)
    before = contents(first)
    Path(tests_file).unlink()  # the session has them
    endpoint.answers = [block(RIGHT)]
    session = go_on(results, first.name)
    assert session.passed
    in_one, in_two = (re.sub(r"[0-9.]+s", "", json.dumps(endpoint.asked[turn])) for turn in (1, 3))
    assert in_one == in_two and "AssertionError" in in_two
    assert contents(first) == before
    document = sessions.read(session.folder)
    assert document["continues"] == {"id": first.name, "seal": json.loads(before["session.json"])["seal"]}
    (turn,) = transcripts.read(session.folder)
    assert turn["turn"] == 2 and "-    return a - b\n+    return a + b" in turn["diff"]
    assert (session.folder / "turn-2.png").is_file()


def test_a_question_stands_before_the_failure_and_alone_where_none_is(results, endpoint, tests_file):
    endpoint.answers = [block(WRONG), block(RIGHT), block(RIGHT)]
    first, _ = ask(results, endpoint, tests_file, most=1)
    second = go_on(results, first.name, "Mind the sign.").folder
    said = endpoint.asked[1]["messages"][-1]["content"]
    assert said.startswith("Mind the sign.\n\nIt failed") and "AssertionError" in said
    with pytest.raises(UsageError, match="a question is needed"):
        go_on(results, second.name)
    third = go_on(results, second.name, "Add a docstring.")
    assert [each["role"][0] for each in endpoint.asked[2]["messages"]] == list("suauau")
    assert endpoint.asked[2]["messages"][-1]["content"] == "Add a docstring."
    assert [session["id"] for session in sessions.lineage(third.folder)] == [first.name, second.name, third.folder.name]


def test_what_is_given_anew_replaces_what_was(results, endpoint, tests_file, tmp_path):
    endpoint.answers = [block(RIGHT), block("def product(a, b):\n    return a * b\n")]
    first, _ = ask(results, endpoint, tests_file)
    (tmp_path / "test_more.py").write_text("from more import product\ndef test_it():\n    assert product(2, 3) == 6\n")
    more = {"tests": str(tmp_path / "test_more.py"), "file": "more.py", "model": "n"}
    session = go_on(results, first.name, "Multiply too.", **more)
    asked = endpoint.asked[1]
    assert session.passed and asked["model"] == "n"
    assert asked["messages"][-1]["content"].startswith("Multiply too.\n\nThe file is called more.py.")
    assert "test_more.py" in asked["messages"][-1]["content"]
    assert sorted(path.name for path in (session.folder / "code").iterdir()) == ["more.py", "sums.py", "test_more.py"]


def test_no_session_or_several_of_that_name_are_named(results):
    with pytest.raises(UsageError, match="no such session") as caught:
        go_on(results, "2026")
    assert "There are: none" in caught.value.why
    names = ["20261122T231953.042Z-4fa01c", "20261123T081500.000Z-00c0de"]
    for name in names:
        (results / "pairing/12" / name).mkdir(parents=True)
        (results / "pairing/12" / name / "session.json").touch()
    for word, what in (("20", "2 sessions begin so"), ("19", "no such session")):
        with pytest.raises(UsageError, match=what) as caught:
            go_on(results, word)
        assert caught.value.why == f"There are: {', '.join(names)}."


@pytest.mark.parametrize("which", ["the one continued", "the one before it"])
def test_a_session_that_was_changed_is_not_continued(results, endpoint, which):
    endpoint.answers = [block("print(1)\n"), block("print(2)\n")]
    first, _ = ask(results, endpoint)
    second = go_on(results, first.name, "Two.").folder
    changed = {"the one continued": second, "the one before it": first}[which]
    path = changed / transcripts.FILE
    path.write_text(path.read_text().replace("Here it is", "Here it was"))
    with pytest.raises(VerificationError, match=rf"{changed.name}: this session is not as it was sealed") as caught:
        go_on(results, second.name, "Three.")
    assert "line 1" in caught.value.why and "./inv pair" in caught.value.remedy
    assert len(endpoint.asked) == 2


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A session that passed, of one turn, which tests leave as it was."""
    with serving() as endpoint:
        endpoint.answers = [block(RIGHT)]
        return ask(tmp_path_factory.mktemp("results"), endpoint)[0]


def resealed(session: Path, results: Path, forge) -> Path:
    """A copy of a session in which something else stands, with hashes and a seal that fit."""
    folder = Path(shutil.copytree(session, results / "pairing/12" / session.name))
    document = json.loads((folder / "session.json").read_text())
    forge(folder, document)
    document["artefacts"] = {name: file for name, file in hash_files(folder).items() if name != "session.json"}
    write_json(folder / "session.json", {**document, "seal": seal_of(document)})
    return folder


ANOTHER = {"id": "20261122T231953.042Z-4fa01c", "seal": f"sha256:{'0' * 64}"}


@pytest.mark.parametrize(
    ("forge", "says"),
    [
        (lambda folder, said: None, ""),
        (lambda folder, said: said.update(passed=False), "whether it passed"),
        (lambda folder, said: said.update(turns=2), "it says 2 turns, and there are 1"),
        (lambda folder, said: said.update(id=ANOTHER["id"]), f"it is the session pairing/12/{ANOTHER['id']}"),
        (lambda folder, said: said.update(tests=["test_x.py"]), "its tests test_x.py are missing"),
        (lambda folder, said: said.update(continues=ANOTHER), f"{ANOTHER['id']}/session.json: missing"),
        (lambda folder, said: said.update(continues={**ANOTHER, "id": folder.name}), "not the session with the seal"),
        (lambda folder, said: said.update(key="mine"), "'key' was unexpected"),
        (lambda folder, said: (folder / "conversation.md").write_text("I did it."), "not what the transcript says"),
    ],
)
def test_a_forged_session_is_found_though_its_seal_fits(sealed, results, forge, says):
    found = sessions.verify(resealed(sealed, results, forge))
    assert len(found) == bool(says) and says in "".join(found)


def test_a_session_that_does_not_say_its_file_asks_for_it(sealed, results):
    folder = resealed(sealed, results, lambda folder, said: said.pop("file"))
    with pytest.raises(UsageError, match="--file"):
        dialogue.resume(results, "12", folder.name, "More.")
    assert dialogue.resume(results, "12", folder.name, "More.", file="sums.py").code == {"sums.py": RIGHT}


@settings(max_examples=40)
@given(data=st.data())
def test_no_byte_of_a_session_can_be_another(sealed, data):
    path = data.draw(st.sampled_from(sorted(path for path in sealed.rglob("*") if path.is_file())))
    content = path.read_bytes()
    place, byte = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 255))
    other = content[:place] + bytes([byte]) + content[place + 1 :]
    path.write_bytes(other)
    found = sessions.verify(sealed)
    path.write_bytes(content)
    assert found or _same(content, other, path.name)


def _same(content: bytes, other: bytes, name: str) -> bool:
    """The bytes are the same, or are JSON that says the same."""
    return content == other or (name == sessions.FILE and json.loads(content) == json.loads(other))


WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@settings(max_examples=40)
@given(name=st.sampled_from(["id", "part", "turns", "passed", "tests", "artefacts", "seal", "continues"]), value=WILD)
def test_whatever_a_session_says_is_judged(sealed, name, value):
    path = sealed / sessions.FILE
    content = path.read_bytes()
    path.write_text(json.dumps({**json.loads(content), name: value}))
    found = sessions.verify(sealed)
    path.write_bytes(content)
    assert found or json.loads(content).get(name) == value


@settings(max_examples=40)
@given(line=WILD)
def test_whatever_stands_in_a_transcript_is_judged(sealed, line):
    path = sealed / transcripts.FILE
    content = path.read_bytes()
    path.write_text(json.dumps(line) + "\n")
    found = sessions.verify(sealed)
    path.write_bytes(content)
    assert found


def test_a_session_is_verified_with_the_records_and_goes_to_stores(results, endpoint, tests_file):
    endpoint.answers = [block(WRONG), block(RIGHT)]
    folder, _ = ask(results, endpoint, tests_file)
    assert sessions.verify(folder) == []
    (sealed,) = here(results)
    named = {file.name for file in sealed.files((folder / "session.json").read_bytes())}
    assert sealed.part == "12" and {"transcript.jsonl", "conversation.md", "turn-2.png", "code/sums.py"} <= named


@pytest.mark.parametrize("name", ["code/sums.py", "transcript.jsonl", "session.json"])
def test_a_session_that_was_changed_is_found(results, endpoint, tests_file, name):
    endpoint.answers = [block(RIGHT)]
    folder, _ = ask(results, endpoint, tests_file)
    path = folder / name
    path.write_text(path.read_text().replace("sums", "sins", 1).replace("def ", "def  ", 1))
    assert sessions.verify(folder)


def test_nobody_listens(results):
    with pytest.raises(EngineError, match="no whole answer"):
        dialogue.converse(dialogue.begin(results, "12", "?", "http://127.0.0.1:9/v1", "m"), 1)


def test_words_that_mean_nothing(results, endpoint):
    with pytest.raises(UsageError, match="--tests"):
        ask(results, endpoint, "absent.py")
    with pytest.raises(UsageError, match="--endpoint"):
        dialogue.converse(dialogue.begin(results, "12", "?", "http://me:secret@host/v1", "m"), 1)


def test_a_program_that_ends_itself_has_not_passed(results, endpoint, tests_file):
    endpoint.answers = [block("import sys\nsys.exit(0)\n"), block("import os\nos._exit(0)\n")]
    assert not ask(results, endpoint, tests_file, most=2)[1]


def test_a_changed_line_breaks_the_chain(results, endpoint):
    endpoint.answers = [block("print(1)\n")]
    folder, _ = ask(results, endpoint)
    path = folder / transcripts.FILE
    path.write_text(path.read_text().replace("Here it is", "Here it was"))
    with pytest.raises(VerificationError, match="line 1"):
        transcripts.read(folder)


# Endpoints and models


def whole(message: dict, **more) -> bytes:
    return json.dumps({"choices": [{"message": message}], **more}).encode()


def test_an_endpoint_that_does_not_stream_is_read(results, endpoint, tests_file):
    endpoint.answers = [whole({"content": block(RIGHT)})]
    folder, passed = ask(results, endpoint, tests_file, most=1)
    assert passed and transcripts.read(folder)[0]["answer"] == block(RIGHT)


def test_an_endpoint_that_refuses_to_stream_is_asked_again_without(results, endpoint, tests_file):
    endpoint.answers = [(400, "stream is not supported"), whole({"content": [{"type": "text", "text": block(RIGHT)}]})]
    assert ask(results, endpoint, tests_file, most=1)[1]
    assert [asked["stream"] for asked in endpoint.asked] == [True, False]


def test_what_a_model_thinks_is_shown_and_kept_but_is_no_answer_and_is_not_sent_back(results, endpoint, tests_file):
    deltas = [{"reasoning_content": block(RIGHT)}, {"content": block(WRONG)}]
    events = [b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n" for delta in deltas]
    endpoint.answers = [b"".join(events) + b"data: [DONE]\n\n", whole({"reasoning": "So.", "content": block(RIGHT)})]
    folder, passed = ask(results, endpoint, tests_file, most=2)
    first, second = (turn["answer"] for turn in transcripts.read(folder))
    assert passed and first == f"<think>{block(RIGHT)}</think>\n\n{block(WRONG)}" and second.startswith("<think>So.")
    assert endpoint.asked[1]["messages"][-2]["content"].strip() == block(WRONG).strip()


@pytest.mark.parametrize("answer", [b"{}", b'{"error": "no such model"}', b'{"choices": []}', b"[]", b"{"])
def test_a_whole_answer_that_says_nothing_is_a_refusal(results, endpoint, answer):
    endpoint.answers = [answer]
    with pytest.raises(EngineError, match="no whole answer"):
        ask(results, endpoint, most=1)


def test_a_stream_without_its_end_mark_is_whole_where_its_last_event_says_so(results, endpoint):
    event = {"choices": [{"delta": {"content": "print(1)"}, "finish_reason": "stop"}]}
    endpoint.answers = [b"data: " + json.dumps(event).encode() + b"\n\n"]
    assert ask(results, endpoint, most=1)[1]


def test_a_file_with_the_name_of_a_python_module_is_not_run(results, endpoint, tests_file):
    endpoint.answers = ["unittest.py\n" + block("raise SystemExit(0)\n").partition("\n")[2], block(RIGHT)]
    folder, passed = ask(results, endpoint, tests_file, most=2)
    assert passed and "unittest.py already" in transcripts.read(folder)[0]["result"]
    with pytest.raises(UsageError, match=r"--file json\.py: the name is taken"):
        dialogue.begin(results, "12", "?", endpoint.address, "m", "", "json.py")
