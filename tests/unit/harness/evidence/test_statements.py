"""Statements: in-toto's own library reads them, they bind the whole record, and a key can sign them."""

import json
import subprocess

import pytest
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult as Predicate
from in_toto_attestation.v1.statement import Statement
from samples import a_catalogue, a_part, a_record, a_record_not_judged

from harness.errors import UsageError
from harness.evidence import signatures, statements
from harness.evidence.hashing import seal_of, write_json
from harness.evidence.records import FILE
from harness.verification.verifying import verify

BOOK = a_catalogue(a_part())


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.mark.parametrize("error", [0.01, 0.5])
def test_in_toto_s_own_library_accepts_the_statement(results, error):
    folder = a_record(results, error=error)
    document = json.loads((folder / statements.FILE).read_bytes())
    read = Statement.copy_from_pb(ParseDict(document, Statement([], "", {}).pb))
    read.validate()
    predicate = ParseDict(document["predicate"], Predicate())
    assert predicate.result == ("PASSED" if error < 0.1 else "FAILED")
    assert ("error" in predicate.passed_tests) is (error < 0.1) and ("error" in predicate.failed_tests) is (error > 0.1)
    assert {each.name for each in predicate.configuration} >= {statements.BODY, "run.log", "metrics.json"}


def test_its_subjects_are_program_runtime_and_device(results):
    record = json.loads((a_record(results) / FILE).read_bytes())
    record["program"] = {"file": "projects/04-plate/main.py", "revision": "c0ffee", "clean": True}
    record["engine"] = {"name": "container", "image": "sha256:" + "ab" * 32}
    program, image, device = statements.of(record, {})["subject"]
    assert program["digest"] == {"gitCommit": "c0ffee"} and image["digest"] == {"sha256": "ab" * 32}
    assert device["name"] == "Processor A" and device["annotations"]["system"] == "Debian"
    record["engine"] = {"name": "local", "image": None}
    record["stack"] = {"name": "base", "lock_sha256": "cd" * 32}
    assert statements.of(record, {})["subject"][1] == {"name": "docker/locks/base.txt", "digest": {"sha256": "cd" * 32}}


def test_a_record_without_its_statement_or_with_another_does_not_hold(results):
    folder = a_record(results)
    document = json.loads((folder / statements.FILE).read_bytes())
    document["predicate"]["result"] = "WARNED"
    write_json(folder / statements.FILE, document)
    assert any("it does not state what the record says" in line for line in verify(folder, BOOK))
    (folder / statements.FILE).unlink()
    assert any("statement.json: missing" in line for line in verify(folder, BOOK))


def test_an_old_record_has_no_statement_and_still_holds(results):
    folder = a_record(results)
    (folder / statements.FILE).unlink()
    record = json.loads((folder / FILE).read_bytes())
    record["schema"] = 1
    del record["artefacts"][statements.FILE]
    write_json(folder / FILE, {**record, "seal": seal_of(record)})
    assert verify(folder, BOOK) == []


def test_a_signature_is_checked_and_its_signer_named(results, key, tmp_path):
    file = a_record(results) / statements.FILE
    signature = signatures.sign(file, key)
    who, mistake = signatures.check(file, signature)
    assert who.startswith("SHA256:") and not mistake
    signers = tmp_path / "signers"
    signers.write_text(f"anna@example.org {(tmp_path / 'key.pub').read_text()}")
    assert signatures.check(file, signature, signers) == ("anna@example.org", "")
    signers.write_text("")
    assert "is not in" in signatures.check(file, signature, signers)[1]
    file.write_text(file.read_text() + " ")
    assert signatures.check(file, signature) == ("", "its signature is not of this file")
    signature.write_text("no signature")
    assert signatures.check(file, signature)[1]


def test_a_key_that_is_not_there_or_is_none_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="no such key"):
        signatures.sign(tmp_path / "file", tmp_path / "absent")
    (tmp_path / "broken").write_text("no key")
    with pytest.raises(UsageError, match="cannot sign"):
        signatures.sign(tmp_path / "file", tmp_path / "broken")


def test_where_signers_are_named_an_unsigned_record_does_not_hold(results, tmp_path):
    (tmp_path / "signers").write_text("")
    assert any("it is not signed" in line for line in verify(a_record(results), BOOK, tmp_path / "signers"))


def test_what_is_not_judged_is_a_warning(results):
    folder = a_record_not_judged(results)
    predicate = ParseDict(json.loads((folder / statements.FILE).read_bytes())["predicate"], Predicate())
    assert predicate.result == "WARNED" and list(predicate.warned_tests) == ["error"] and not predicate.failed_tests
