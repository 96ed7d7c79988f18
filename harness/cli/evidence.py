"""What the commands of evidence do and print: reproduce, reference, attach, detach, pair, pack, report and verify."""

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from harness.catalogue import cells
from harness.catalogue.entries import Catalogue
from harness.errors import HomeworkError, UsageError
from harness.evidence.attachments import Attachment
from harness.terminal import green, yellow


def reproduce(results: Path, run: str, book: Catalogue, hw: str) -> None:
    """Run a record's or a reference's cell again, and hold the values against it."""
    from harness.cli.listing import one_run
    from harness.comparison import comparing, references, reproduction

    part = run.removeprefix(f"{references.FOLDER}/")
    then = references.read(results, part) if part != run else comparing.outcome(one_run(results, "reproduce", run))
    found = reproduction.reproduce(then, reproduction.plan(then.record, book, hw), results)
    print(f"\n{comparing.show(found)}")
    comparing.require_same([found])


def keep_references(results: Path, book: Catalogue, task: str, hw: str) -> None:
    """Keep the latest passing runs' values."""
    from harness.comparison import pairs, references

    kind = cells.select_kind(book, hw)
    for part in cells.select_parts(book, task):
        latest = pairs.latest(results, part, kind, like=references.wanted(part))
        print(os.path.relpath(references.write(results, latest)) if latest else f"{part.name}: no passing run to take")


def verify(results: Path, run: str, book: Catalogue, signers: Path | None) -> str:
    """What was verified: a pack, a record, or all of them."""
    if run.endswith(".zip"):
        from harness.verification import unpacking

        return unpacking.verify(Path(run).expanduser(), book, signers)
    from harness.verification import verifying

    return verifying.verify_all(results, run, book, signers)


def attach(
    results: Path,
    book: Catalogue,
    what: Sequence[str],
    task: str,
    kind: str,
    note: str,
    date: str,
    zone: str,
    radius: str,
    check: bool,
) -> None:
    """Attach what was named; without anything, list what is attached, or ask addresses again that wait."""
    from harness.attaching import attach as attaching
    from harness.attaching.outdoors import outings
    from harness.evidence import attachments
    from harness.points import byhand, matrix

    example = "./inv attach --task 4 https://aistudio.baidu.com/projectdetail/1"
    if what:
        if not task:
            raise UsageError(f"{what[0]}: which part does it belong to?", "attach lacks its --task.", example)
        part = cells.select_part(book, task)
        before = attachments.read_all(results)[0]
        folders = attaching.attach(results, part, what, kind, note, date, outings.privacy(zone, radius))
        for folder in dict.fromkeys(folders):
            print(_attached(attachments.Attachment(folder, attachments.read(folder)), {each.id for each in before}))
        check = check or any(each.waits for each in before)
    elif task or kind or note or date or zone or radius:
        raise UsageError("attach: nothing to attach is named.", "It takes addresses and files.", example)
    if check:
        print("\n".join(attaching.check(results, book.parts)) or "No address waits.")
    elif not what:
        print(byhand.show(results, book.parts, matrix.build(book, results).cells))


def _attached(attachment: Attachment, before: Collection[str]) -> str:
    word = green("✓ attached") if attachment.id not in before else "· is attached already"
    day = f" of {attachment.data['date']}" if "date" in attachment.data else ""
    waits = yellow(f"  waiting: {attachment.waits}") if attachment.waits else ""
    checked, folder = attachment.data.get("checked", ""), os.path.relpath(attachment.folder)
    return f"{word}  {attachment.kind}{day}: {checked}{waits}   {folder}"


def detach(results: Path, attachment: str, note: str) -> None:
    """Take an attachment back."""
    from harness.attaching import attach as attaching
    from harness.evidence import attachments

    folder = attaching.detach(results, attachment, note)
    print(f"{attachments.read(folder)['withdraws']} counts no more   {os.path.relpath(folder)}")


def pair(
    results: Path,
    part: str,
    earlier: str,
    turns: int,
    *,
    question: str,
    endpoint: str,
    model: str,
    tests: str,
    file: str,
) -> None:
    """Converse with a model until the code passes; `earlier` is the session that is continued."""
    from harness.assistant import dialogue
    from harness.evidence import sessions

    if not (earlier or (question and endpoint and model)):
        what = "pair needs --endpoint, --model and a question, or --continue."
        raise UsageError(what, "A new session asks a model; --continue goes on.", "./inv pair --help shows examples.")
    if earlier:
        session = dialogue.resume(results, part, earlier, question, endpoint, model, tests, file)
    else:
        session = dialogue.begin(results, part, question, endpoint, model, tests, file)
    onward = f"./inv pair --task {part} --continue {session.folder.name}"
    try:
        dialogue.converse(session, turns)
    finally:
        if session.turns:
            folder = os.path.relpath(session.folder)
            print(f"{folder}\nTo go on: {onward}{' QUESTION' if session.passed else ''}")
            print(f"If it is your own work: ./inv attach --task {part} {folder}/{sessions.CONVERSATION}")
    if not session.passed:
        raise HomeworkError("The code did not pass.", "The last turn says why.", f"Go on with {onward}")


def pack(results: Path, book: Catalogue, task: str, file: Path, crate: bool, key: Path | None) -> None:
    """Write the submission of a task."""
    from harness.publish.packs import archive

    made = archive.make(book, cells.select_parts(book, task), results, file, crate=crate, key=key)
    for line in made.missing:
        print(yellow(f"· still to be added: {line}"))
    for line in made.warnings:
        print(yellow(f"· {line}"))
    print(green("✓ packed") + f"  {file}: {made.files} files, {made.size / 2**20:.1f} MiB, sha256 {made.sha256}")


def board(
    results: Path, book: Catalogue, path: Path, stores: str, signers: Path | None, paddle: str, address: str
) -> None:
    """Write the public page of these results, or of those in stores."""
    from harness.points import matrix
    from harness.publish.report import board as boards
    from harness.stores import team
    from harness.stores.opening import open_source

    sources = [open_source(each) for each in stores.split(",")] if stores else []
    if sources:
        results, damage = team.gather(sources)
    else:
        damage = []
    built = matrix.build(book, results, paddle, files=not sources)
    built = replace(built, damaged=[*built.damaged, *damage])
    matrix.warn_of_damage(built)
    read = team.reader(sources) if sources else lambda sealed, file: (results / sealed.place / file.name).read_bytes()
    address = address or next((each.address for each in sources if each.address.startswith("http")), "")
    made = boards.Board(built, book, results, read, signers, address)
    text = boards.page(made)
    _write_page(path, text)
    signed = sum(bool(run.signature.by) for run in made.shown)
    print(f"{os.path.relpath(path)}: {len(made.shown)} results, {signed} signed, {len(text) / 2**10:.0f} KiB")


def _write_page(path: Path, text: str) -> None:
    from harness.evidence import hashing

    path.parent.mkdir(parents=True, exist_ok=True)
    hashing.write_whole(path, text.encode("utf-8", "backslashreplace"))  # half a character in a note is written out


def report(results: Path, book: Catalogue, path: Path) -> None:
    """Write the page of all results."""
    from harness.points import matrix
    from harness.publish import report as reports

    built = matrix.build(book, results)
    matrix.warn_of_damage(built)
    text = reports.page(built, book, results)
    _write_page(path, text)
    print(f"{os.path.relpath(path)}: {len(text) / 2**20:.1f} MiB")
