"""Remote runs: addresses, what is sent, what ssh's words mean, and far.py alone."""

import ast
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness import checkout, errors
from harness.dispatch.dispatcher import Outcome
from harness.dispatch.ssh import connection, far
from harness.dispatch.ssh import dispatch as ssh
from harness.errors import EngineError, UsageError

BOX = connection.Address("box", "anna")
GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost")


def test_an_address_has_user_host_port_and_folder() -> None:
    assert connection.parse("ssh://anna@box:2222/srv/x/") == connection.Address("box", "anna", 2222, "/srv/x")
    assert str(connection.parse("ssh://box")) == "box"


@pytest.mark.parametrize(
    "text",
    [
        "box",
        "http://box",
        "ssh://",
        "ssh://box:x",
        "ssh://a:secret@box",
        "ssh://box?x=1",
        "ssh://-oProxyCommand=evil/x",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        connection.parse(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "said", "what"),
    [
        (255, "Host key verification failed.", "not known here"),
        (255, "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "not the one"),
        (255, "anna@box: Permission denied (publickey,password).", "accepts no key"),
        (255, "ssh: Could not resolve hostname box: Name or service not known", "cannot be reached"),
        (255, "ssh: connect to host box port 22: Connection refused", "cannot be reached"),
        (127, "bash: line 1: exec: python3: not found", "no Python"),
        (127, "zsh:1: no such command", "no Python"),
        (255, "kex_exchange_identification: read: reset", "no connection"),
        (1, '  File "<string>", line 1\nSyntaxError: future feature annotations is not defined', "Python is too old"),
        (1, "", "no connection"),
    ],
)
def test_what_ssh_says_is_explained_in_three_lines(code: int, said: str, what: str) -> None:
    error = connection.explain(BOX, code, said)
    assert error.code == EngineError.code and what in error.what
    assert error.why and error.remedy and len(str(error).splitlines()) == 3


def test_windows_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(EngineError, match="from Windows itself") as refusal:
        connection.Connection(BOX)
    assert "WSL" in refusal.value.remedy


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a file of each sort."""
    files = ("tasks.py", "run.sh", "gone.py", "results/4/cpu/x/record.json", "results/reference/4.json", "secret.key")
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "link").symlink_to("/etc/hostname")
    known = ["tasks.py", "run.sh", "gone.py", "link", "results/reference/4.json"]
    for words in (("init", "-q"), ("add", *known), ("commit", "-q", "-m", "x")):
        subprocess.run([*GIT, *words], cwd=tmp_path, check=True)
    (tmp_path / "gone.py").unlink()
    (tmp_path / "tasks.py").write_text("changed")
    return tmp_path


def test_what_git_knows_is_sent_as_it_is_now_and_nothing_else(root: Path) -> None:
    sending = checkout.read(root)
    assert set(sending.files) == {"tasks.py", "run.sh"}
    assert sending.files["tasks.py"] == (hashlib.sha256(b"changed").hexdigest(), 0o644, 7)
    assert sending.files["run.sh"][1] == 0o755
    assert sending.unknown == 2, "a key, and a record"


def test_a_folder_without_git_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no git checkout"):
        checkout.read(tmp_path)


def test_a_sent_folder_says_which_revision_it_holds_until_a_file_is_changed(root: Path) -> None:
    assert checkout.sent_revision(root) is None
    sent = {"revision": "abc", "clean": True, "files": checkout.read(root).files}
    (root / far.SENT).write_text(json.dumps(sent))
    assert checkout.sent_revision(root) == {"revision": "abc", "clean": True}
    (root / "run.sh").write_text("of no run")
    assert checkout.sent_revision(root) == {"revision": "abc", "clean": True}
    (root / "tasks.py").write_text("changed again")
    assert checkout.sent_revision(root) == {"revision": "abc", "clean": False}


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 7])
def test_the_far_exit_code_is_the_one_here(code: int) -> None:
    with pytest.raises(errors.HomeworkError) as caught:
        Outcome([], ssh.failure_of(BOX, code)).require_passed()
    assert caught.value.code == code


def test_a_far_interrupt_is_one_here() -> None:
    Outcome([], ssh.failure_of(BOX, 0)).require_passed()
    with pytest.raises(errors.Interrupted) as caught:
        Outcome([], ssh.failure_of(BOX, 130)).require_passed()
    assert caught.value.code == 130


# far.py as it runs there: by itself, over pipes


class Pipes:
    def __init__(self) -> None:
        words = [sys.executable, "-I", far.__file__]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin and self.process.stdout
        self.write, self.read = self.process.stdin, self.process.stdout
        assert self.read.readline() == b"\n" and self.read.readline().decode().strip() == far.GREETING

    def ask(self, content: bytes = b"", **request: object) -> dict[str, object]:
        self.write.write(json.dumps(request).encode() + b"\n" + content)
        self.write.flush()
        answer: dict[str, object] = json.loads(self.read.readline())
        answer["content"] = self.read.read(int(str(answer["bytes"])))
        return answer

    def close(self) -> None:
        self.write.close()
        assert self.process.wait(timeout=10) == 0
        self.read.close()


@pytest.fixture
def pipes() -> "Pipes":
    pipes = Pipes()
    yield pipes
    pipes.close()


def entry(content: bytes, mode: int = 0o644) -> list[object]:
    return [hashlib.sha256(content).hexdigest(), mode, len(content)]


def test_far_works_with_an_older_python() -> None:
    source = Path(far.__file__).read_text()
    ast.parse(source, feature_version=(3, 8))
    assert "from harness" not in source


def test_far_takes_files_and_takes_away_what_is_sent_no_more(pipes: Pipes, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    assert pipes.ask(do="enter", folder=str(folder), make=True)["busy"] == ""
    files = {"a/b.txt": entry(b"one"), "run": entry(b"two", 0o755)}
    assert pipes.ask(do="compare", files=files)["wanted"] == ["a/b.txt", "run"]
    source = {"revision": "abc", "clean": True}
    pipes.ask(b"onetwo", do="receive", files=files, wanted=["a/b.txt", "run"], source=source)
    assert (folder / "a/b.txt").read_bytes() == b"one" and (folder / "run").stat().st_mode & 0o111
    (folder / "own.txt").write_text("made there")
    pipes.ask(do="receive", files={"run": files["run"]}, wanted=[], source=source)
    assert not (folder / "a/b.txt").exists() and (folder / "own.txt").exists()
    assert pipes.ask(do="compare", files={"run": entry(b"two", 0o644)})["wanted"] == ["run"], "the mode counts too"


def test_far_refuses_a_folder_of_others_and_content_that_changed(pipes: Pipes, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    assert pipes.ask(do="enter", folder=str(tmp_path), make=True)["error"] == "not ours"
    pipes.ask(do="enter", folder=str(tmp_path / "new"), make=True)
    answer = pipes.ask(b"twe", do="receive", files={"x": entry(b"two")}, wanted=["x"], source={"revision": "abc"})
    assert answer["error"] == "changed"
    assert json.loads((tmp_path / "new" / far.SENT).read_text())["revision"] is None


def test_far_lets_one_call_in_at_a_time(pipes: Pipes, tmp_path: Path) -> None:
    pipes.ask(do="enter", folder=str(tmp_path / "new"), make=True)
    second = Pipes()
    assert second.ask(do="enter", folder=str(tmp_path / "new"), make=True)["busy"] == "another call"
    second.write.close()
    second.process.wait(timeout=10)
    second.read.close()


def test_far_reads_results_and_nothing_through_a_link(pipes: Pipes, tmp_path: Path) -> None:
    pipes.ask(do="enter", folder=str(tmp_path / "new"), make=True)
    place = tmp_path / "new" / "results" / "4" / "cpu" / "id"
    place.mkdir(parents=True)
    (place / "record.json").write_bytes(b"0123456789")
    (place / "link").symlink_to("/etc/hostname")
    assert pipes.ask(do="records")["records"] == [["4/cpu/id", 10]]
    answer = pipes.ask(do="read", name="4/cpu/id/record.json", start=7)
    assert (answer["content"], answer["size"]) == (b"789", 10)
    assert pipes.ask(do="read", name="4/cpu/id/none", start=0)["error"] == "absent"
    assert pipes.ask(do="read", name="4/cpu/id/link", start=0)["error"] == "system"


def test_a_far_run_is_interrupted_by_a_signal_and_its_code_comes_back(pipes: Pipes, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    pipes.ask(do="enter", folder=str(folder), make=True)
    (folder / "inv").write_text(
        "#!/bin/sh\ntrap 'echo ending; exit 7' INT\necho begun $1\nwhile :; do sleep 0.05; done\n"
    )
    (folder / "inv").chmod(0o755)
    assert pipes.ask(do="run", words=["run"], name="x")["content"] == b"begun run\n"
    later = Pipes()  # from another shell
    entered = later.ask(do="enter", folder=str(folder), make=False)
    assert (entered["last"], entered["killed"]) == ("x", False) and entered["busy"].startswith("process ")
    assert later.ask(do="follow", name="x", start=10, number=2)["content"] == b"ending\n"
    assert json.loads(later.read.readline())["code"] == 7
    later.close()


def test_a_far_run_of_which_all_was_killed_is_said_to_be(pipes: Pipes, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    pipes.ask(do="enter", folder=str(folder), make=True)
    (folder / "inv").write_text("#!/bin/sh\nkill -9 0\n")
    (folder / "inv").chmod(0o755)
    assert pipes.ask(do="run", words=["run"], name="x")["code"] == far.KILLED
    later = Pipes()
    entered = later.ask(do="enter", folder=str(folder), make=False)
    assert (entered["last"], entered["killed"], entered["busy"]) == ("x", True, "")
    later.close()


def test_a_run_is_not_begun_where_another_holds_the_folder(pipes: Pipes, tmp_path: Path) -> None:
    pipes.ask(do="enter", folder=str(tmp_path / "new"), make=True)
    later = Pipes()
    assert later.ask(do="enter", folder=str(tmp_path / "new"), make=True)["busy"]
    assert later.ask(do="run", words=["run"], name="y")["error"] == "busy"
    later.close()
