"""What is in a pack: held against its manifest, its records, its commit, and what ./inv pack makes of these files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import checkout
from harness.catalogue import datafiles
from harness.catalogue.entries import Catalogue, Part, part_then
from harness.errors import DataFileError, HomeworkError, VerificationError
from harness.evidence import attachments, sealed, sessions, signatures
from harness.evidence.hashing import seal_of
from harness.publish.packs import archive, contents
from harness.publish.packs.contents import Contents, revision_of
from harness.publish.packs.names import shown
from harness.terminal import harmless
from harness.verification import pictures, verifying

MANIFEST_BYTES = 16 * 2**20
CODE = "code/"
LOCKS = "docker/locks/"
PACK_SCHEMA = "harness/catalogue/schemas/pack.schema.json"


def verify(file: Path, root: Path, catalogue: Catalogue, signers: Path | None) -> str:
    """Check what was unpacked to `root`; what was verified is said in a line.

    Raises:
        VerificationError: something in it is not as it says.
    """
    unsure: list[str] = []
    lines = list(_mistakes(root, catalogue, signers))
    if not lines:  # of what is damaged nothing is drawn
        lines, unsure = pictures.findings(root / "results")
    if lines:
        listed = [harmless(line.replace(f"{root}/", "")) for line in lines[:20]]
        more = [f"… and {len(lines) - 20} more"] if len(lines) > 20 else []
        found = "\n".join(f"  · {line}" for line in [*listed, *more])
        raise VerificationError(f"{file}: failed verification.", found, _remedy(root))
    manifest = json.loads((root / archive.MANIFEST).read_bytes())
    number = sum(1 for _ in sealed.folders(root / "results"))
    counts = [f"{number} record{'s' * (number != 1)}"]
    counts += verifying.counted(root / "results", verifying.verify_others(root / "results"))
    return (
        f"{len(manifest['files'])} files, {', '.join(counts)} verified: every byte, hashes, seals, schema, verdict, "
        f"{_cover_said(root, manifest)}. {_pictures_said(unsure)}{_code_said(root, manifest)} {_signed(root, signers)} "
        f"sha256 {archive.sha256_of(file)}"
    )


def _remedy(root: Path) -> str:
    lacking = sorted(commit for commit in _revisions(root) if commit and not checkout.has_commit(commit))
    if not lacking:
        return "Ask for it again where it came from."
    return (
        f"This clone lacks commit {harmless(lacking[0][:40])}, whose rules its runs were judged by: git fetch (a zip "
        "download has no commits), then verify again. If that says the same, ask for it again where it came from."
    )


def _mistakes(root: Path, catalogue: Catalogue, signers: Path | None) -> Iterator[str]:
    try:
        manifest = _manifest(root / archive.MANIFEST)
    except DataFileError as error:
        yield str(error)
        return
    wrong = list(_changed(root, manifest["files"]))
    yield from wrong
    yield from _unsigned(root, signers)
    results = root / "results"
    for _, _, run in sealed.folders(results):
        wrong += (found := verifying.verify(Path(run.path), catalogue))
        yield from found
    for found in verifying.verify_others(results).values():
        wrong += found
        yield from found
    for each in attachments.read_all(results)[0]:
        if "session" in each.data:
            wrong += (found := sessions.absent(results / sessions.FOLDER / each.data["part"], each.data["session"]))
            yield from found
    yield from _other_code(root, manifest)
    if manifest["schema"] == 1:
        yield from _of_later_format(root)
    if not wrong:  # what is damaged is made into nothing
        yield from _made_otherwise(root, manifest, catalogue)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MANIFEST_BYTES:
            raise DataFileError(f"{path.name}: too large.")
        content = path.read_bytes()
        document = json.loads(content)
        if mistake := datafiles.mistake(document, "pack"):
            raise DataFileError(f"{path.name}: {mistake}")
        if archive.json_bytes(document) != content:
            raise DataFileError(f"{path.name}: not written as ./inv pack writes it.")
        if document["schema"] > 1 and document["seal"] != seal_of(document):
            raise DataFileError(f"{path.name}: the seal is broken.")
    except (ValueError, RecursionError) as error:
        raise DataFileError(f"{path.name}: not readable as JSON.", f"{error}.") from error
    return dict(document)


def _changed(root: Path, said: Mapping[str, Any]) -> Iterator[str]:
    own = (archive.MANIFEST, archive.MANIFEST + signatures.SUFFIX)
    present = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}
    for name in sorted({*said, *present} - {*own}):
        if name not in present:
            yield f"{shown(name)}: missing"
        elif name not in said:
            yield f"{shown(name)}: not one of the pack's files"
        elif archive.sha256_of(present[name]) != said[name]["sha256"]:
            yield f"{shown(name)}: changed after it was packed"
        elif present[name].stat().st_size != said[name]["bytes"]:
            yield f"{shown(name)}: of another size than its manifest says"
    yield from (f"{name}: it names itself" for name in own if name in said)


# Signature


def _signed(root: Path, signers: Path | None) -> str:
    signature = root / (archive.MANIFEST + signatures.SUFFIX)
    if not signature.is_file():
        return "It is not signed."
    who, _ = signatures.check(root / archive.MANIFEST, signature, signers)
    return f"Signed by {who}" + ("." if signers else "; whose key that is, nobody here has said (--signers FILE).")


def _unsigned(root: Path, signers: Path | None) -> Iterator[str]:
    signature = root / (archive.MANIFEST + signatures.SUFFIX)
    if signature.is_file():
        _, mistake = signatures.check(root / archive.MANIFEST, signature, signers)
        if mistake:
            yield f"{signature.name}: {mistake}"
    elif signers:
        yield "it is not signed, and --signers asks for a signature"


# Code


def _code_of(root: Path) -> dict[str, Path]:
    """The files below code/, by their names in a checkout."""
    folder = root / CODE
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _commits(root: Path, manifest: Mapping[str, Any]) -> set[str]:
    """The commits that the code has to be of: the one that the pack names, else the one that all records name."""
    if manifest["code"]:
        return {manifest["code"]}
    return {commit for commit in _revisions(root) if commit} if len(_revisions(root)) == 1 else set()


def _revisions(root: Path) -> set[str | None]:
    programs = [program for program in map(_program, sealed.folders(root / "results")) if program]
    return {str(program["revision"]) if program["clean"] else None for program in programs}


def _program(run: Any) -> Mapping[str, Any] | None:
    try:
        program = json.loads(Path(run[2].path, sealed.RECORD.manifest).read_bytes())["program"]
        return {"revision": program["revision"], "clean": program["clean"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None  # said where the record is verified


def _other_code(root: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Where the code is not that of the commit, as far as this clone has it."""
    code = _code_of(root)
    for commit in filter(checkout.has_commit, _commits(root, manifest) if code else ()):
        there = checkout.files_at(commit, sorted({_place(name) for name in code}))
        for name in sorted({*code, *there}):
            if name not in there:
                yield f"{shown(CODE + name)}: not in commit {commit[:12]}"
            elif name not in code:
                yield f"{shown(CODE + name)}: missing, commit {commit[:12]} has it"
            elif code[name].read_bytes() != there[name]:
                yield f"{shown(CODE + name)}: not as in commit {commit[:12]}"


def _place(name: str) -> str:
    """What of a checkout goes into a pack as one: a program's folder, a library's, or a lock."""
    return name if name.startswith(LOCKS) else "/".join(name.split("/")[:2])


def _commits_of_runs(root: Path) -> list[str]:
    programs = filter(None, map(_program, sealed.folders(root / "results")))
    return sorted({str(program["revision"]) for program in programs if program["revision"]})


def _of_later_format(root: Path) -> Iterator[str]:
    """Where a pack says to be of the first format, and its runs are of commits that make a later one."""
    for commit in filter(checkout.has_commit, _commits_of_runs(root)):
        schema = checkout.files_at(commit, [PACK_SCHEMA]).get(PACK_SCHEMA, b"{}")
        if json.loads(schema).get("properties", {}).get("schema", {}).get("enum", [1]) != [1]:
            yield (
                f"{archive.MANIFEST}: it says to be of format 1, but its runs are of commit {commit[:12]}, which makes "
                "a later one: it was written over"
            )


def _cover_said(root: Path, manifest: Mapping[str, Any]) -> str:
    """What was done with the cover: a pack of the first format has no seal, and any pack can be written over as one."""
    if manifest["schema"] > 1:
        return "cover"
    unknown = [commit for commit in _commits_of_runs(root) if not checkout.has_commit(commit)]
    whether = "whether its runs' commit makes that format"
    if unknown:
        unsure = f", nor {whether} checked: this clone has no {harmless(unknown[0][:40])}"
    else:
        unsure = "" if _commits_of_runs(root) else f", nor {whether} checked: they name none"
    return f"but its cover, of the first format, which has no seal, was NOT made again{unsure}"


def _pictures_said(unsure: Sequence[str]) -> str:
    if not unsure:
        return ""
    number = f"{len(unsure)} picture{'s are' if len(unsure) > 1 else ' is'}"
    return f"{number} NOT as drawn here from run.log, which is what counts; another revision may draw otherwise. "


def _code_said(root: Path, manifest: Mapping[str, Any]) -> str:
    if not _code_of(root):
        return "There is no code in it."
    commits = _commits(root, manifest)
    for commit in filter(checkout.has_commit, commits):
        return f"Its code is that of commit {commit}."
    why = (
        f"this clone has no {harmless(min(commits)[:40])}"
        if commits
        else "its runs name none, or several, or uncommitted changes"
    )
    return f"Its code was NOT checked against a commit: {why}."


# Made again


def _made_otherwise(root: Path, manifest: Mapping[str, Any], catalogue: Catalogue) -> Iterator[str]:
    """Where ./inv pack would make another pack of what is in this one, by the rules of now or of its commit."""
    found: list[list[str]] = []
    for book in _rules(manifest, catalogue):
        lines = list(_otherwise(root, manifest, book))
        if not lines:
            return
        found.append(lines)
    if not found and manifest["schema"] > 1:
        yield f"this checkout knows no part {', '.join(map(shown, manifest['parts']))}"
    yield from found[-1] if found else ()
    rules = manifest.get("rules")
    if rules and not checkout.has_commit(rules):
        yield f"it was made by the rules of commit {rules}, which this clone lacks: git fetch, then verify again"


def _rules(manifest: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Catalogue]:
    """This checkout's rules, and those of the commit that a pack names."""
    parts = [catalogue.parts.get(name) for name in manifest["parts"]]
    known = [part for part in parts if part]
    if len(known) < len(parts):
        return
    yield catalogue
    then = [_then(part, manifest.get("rules", manifest["code"]) or "") for part in known]
    if all(then):
        yield replace(catalogue, parts={**catalogue.parts, **{part.name: part for part in then if part}})


def _then(part: Part, commit: str) -> Part | None:
    return part_then(part.name, f"projects/{part.slug}/main.py", commit)


def _otherwise(root: Path, manifest: Mapping[str, Any], book: Catalogue) -> Iterator[str]:
    try:
        made = _made_again(root, manifest, book)
    except HomeworkError as error:
        yield f"it cannot be made again: {error}"
        return
    for name in sorted({*manifest["files"]} - {*made.files}):
        yield f"{shown(name)}: ./inv pack does not put it in"
    for name in sorted({*made.files} - {*manifest["files"]}):
        yield f"{shown(name)}: ./inv pack puts it in"
    yield from _code_otherwise(made, manifest["code"])
    if manifest["schema"] == 1:  # whose cover was another
        return
    for name in (archive.COVER, archive.CRATE):
        said = manifest["files"].get(name)
        if name in made.files and said and archive.sha256_of(made.files[name]) != said["sha256"]:
            yield f"{name}: changed; it does not say what ./inv pack says of these files"
    if manifest["code"] not in (None, revision_of(made)):
        yield f"the code is of commit {manifest['code'][:12]}, and the runs are not"
    if archive.manifest(made, None)[archive.MANIFEST] != (root / archive.MANIFEST).read_bytes():
        yield f"{archive.MANIFEST}: ./inv pack writes another one for these files"


def _code_otherwise(made: Contents, commit: str | None) -> Iterator[str]:
    """What of a checkout is in it and does not belong there, or the reverse; a commit may lack a folder of today."""
    wanted = contents.sources(made)
    places = {_place(name.removeprefix(CODE)) for name in made.files if name.startswith(CODE)}
    yield from (f"{shown(CODE + place)}: ./inv pack does not put it in" for place in sorted(places - {*wanted}))
    for place in sorted({*wanted} - places):
        if commit is None or checkout.files_at(commit, [place]):
            yield f"{CODE}{place}: ./inv pack puts it in"


def _made_again(root: Path, manifest: Mapping[str, Any], book: Catalogue) -> Contents:
    made = contents.evidence(book, [book.parts[name] for name in manifest["parts"]], root / "results")
    made.revision, made.rules = manifest["code"], manifest.get("rules")
    made.files |= {f"{CODE}{name}": path for name, path in _code_of(root).items()}
    archive.derive(made, archive.CRATE in manifest["files"])
    return made
