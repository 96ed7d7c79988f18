"""What an earlier revision left stays valid: its records, packs and stores are read and verified by this one."""

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from harness.catalogue import entries
from harness.catalogue.entries import Catalogue
from harness.cli import listing
from harness.comparison.comparing import outcome
from harness.evidence import attachments, records, sessions
from harness.points import index
from harness.publish.packs import archive, contents
from harness.stores import transfer
from harness.stores.opening import open_store
from harness.verification import unpacking, verifying

BEFORE = Path(__file__).resolve().parents[3] / "data" / "before"
RUN = "8-1/cpu/20261130T144110.566Z-7bb18d"
PACKED = "code/projects/"


@pytest.fixture(scope="module")
def then(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """The rules of that revision, by which its records were judged."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(BEFORE / "checkout", root, dirs_exist_ok=True)
    with zipfile.ZipFile(BEFORE / "8-1.zip") as pack:
        pack.extractall(root, [name for name in pack.namelist() if name.startswith(PACKED)])
    (root / "code" / "projects").rename(root / "projects")
    rules = root / "projects" / "08-ffn" / "project.yaml"
    rules.write_text("uses: [kit]\n" + rules.read_text(encoding="utf-8"), encoding="utf-8")  # asked for since then
    return entries.load(root)


@pytest.fixture
def before(results: Path) -> Path:
    """The results of that revision."""
    return Path(shutil.copytree(BEFORE / "results", results, dirs_exist_ok=True))


def test_records_attachments_and_sessions_verify(before: Path, then: Catalogue) -> None:
    said = verifying.verify_all(before, "all", then)
    assert said.startswith("1 record verified") and said.endswith("Whole: 2 attachments, 1 session.")


@pytest.mark.parametrize(
    ("name", "verified"),
    [
        ("8-1.zip", "1 record verified"),
        ("12.zip", "0 records, 1 attachment, 1 session verified"),
    ],
)
def test_packs_verify(name: str, verified: str, then: Catalogue) -> None:
    assert verified in unpacking.verify(BEFORE / name, then)


def test_what_packs_of_format_2_derive_is_derived_as_ever(before: Path, then: Catalogue) -> None:
    """Whoever changes the cover or the metadata makes a new format (archive.SCHEMA), and keeps this one."""
    parts = [then.parts["8-1"], replace(then.parts["8-1"], name="12", evidence_only=True)]
    made = contents.evidence(replace(then, parts={part.name: part for part in parts}), parts, before)
    made.files["code/projects/08-ffn/main.py"] = b""
    archive.derive(made, crate=True)
    digests = {name: archive.sha256_of(made.files[name])[:16] for name in (archive.COVER, archive.CRATE)}
    assert digests == {archive.COVER: "23f68bfd16289742", archive.CRATE: "eb806dbe7d2884b5"}
    assert archive.SCHEMA == 2


def test_a_store_is_downloaded_from_and_has_everything(tmp_path: Path, results: Path, then: Catalogue) -> None:
    store = open_store(str(shutil.copytree(BEFORE / "store", tmp_path / "store")))
    fetched = transfer.download(results, store)
    assert len(fetched.moved) == 4 and not fetched.refused
    assert "1 record verified" in verifying.verify_all(results, "all", then)
    for path in (path for path in (BEFORE / "results").rglob("*") if path.is_file()):
        assert (results / path.relative_to(BEFORE / "results")).read_bytes() == path.read_bytes()
    assert not transfer.upload(results, store).moved


def test_they_are_read_as_todays_are(before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (result,), damaged = index.results_of(before)
    assert (result.part, result.hardware, result.passed, damaged) == ("8-1", "cpu", True, [])
    assert "✓ passed" in listing.record(records.read(before / RUN / records.FILE), before / RUN)
    assert outcome(before / RUN).tensors
    assert set(attachments.standing(before)[0]) == {"12", "13-1"}
    (session,) = (before / "pairing" / "12").iterdir()
    assert sessions.read(session)["passed"] is True


def test_a_change_in_them_is_seen(before: Path, then: Catalogue) -> None:
    (before / RUN / "loss.png").write_bytes(b"another")
    (found,) = verifying.verify(before / RUN, then)
    assert "loss.png: changed" in found
