"""The commands: `./inv COMMAND` or, in the activated environment, `invoke COMMAND`.

Each is a thin function: it reads arguments and prints answers. How things are done stands in harness/.
"""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from invoke import Context

from harness import terminal
from harness.catalogue import cells
from harness.catalogue import entries as catalogues
from harness.catalogue.entries import Catalogue
from harness.checkout import ROOT
from harness.cli import options
from harness.cli.commands import command
from harness.cli.options import Option
from harness.errors import HardwareError, HomeworkError, UsageError, VerificationError

RESULTS = ROOT / "results"
SHELL_SCRIPTS = ("inv", ".ci/run", "docker/locks/compile.sh")


@command("run")
def run(
    context: Context,
    task: options.Parts = "all",
    hw: options.Kinds = "auto",
    on: options.Place = "auto",
    host: Annotated[
        str,
        Option(
            help="another machine to run on: ssh://user@box, or with port and folder: ssh://user@box:22/srv/homework"
        ),
    ] = "",
    set_: options.Settings = None,
    profile: options.Profile = "",
    cards: Annotated[int, Option(help="how many cards, where the part takes several; on a CPU so many processes")] = 0,
    seed: Annotated[int, Option(help="seed of the random numbers")] = 0,
    timeout: Annotated[str, Option(help="a longer time limit than the part's own: 2h, 90min, 600s")] = "",
    sign: options.Key = "",
    dry_run: Annotated[
        bool, Option(help="print each cell, its engine and command, and why a cell is left out")
    ] = False,
    format: options.RunFormat = "table",
) -> None:
    """Run parts on the hardware here; ends with the matrix.

    Every cell leaves a sealed record under results/.

    Examples:
      ./inv run                                  every part that is written, on what this machine has
      ./inv run --task 4                         the plate
      ./inv run --task 4 --set method=pinn       with a parameter; ./inv tasks --task 4 shows them
      ./inv run --task 1,8-1 --hw cpu            two parts on the CPU
      ./inv run --task 4 --set pinn=guide --timeout 2h    a long choice, with more time than the part's own limit
      ./inv run --task 8-2 --cards 4             on four cards instead of eight
      ./inv run --task 7 --hw xpu                on a Kunlun card; exit code 3 if there is none
      ./inv run --dry-run                        what would run, and why the rest would not
      ./inv run --hw ascend,cuda --on slurm      a job per cell; again, it submits only what is missing (docs/slurm.md)
      ./inv run --host ssh://user@box --hw npu   there, with its cards; records come here (docs/remote.md)
    """
    from harness.dispatch import registry
    from harness.dispatch.dispatcher import RunRequest

    book = catalogues.load()
    parts = cells.with_timeout(cells.select_parts(book, task), timeout)
    cells.check_profile(parts, profile or None)
    request = RunRequest(
        catalogue=book,
        parts=parts,
        task=task,
        hw=hw,
        on=on,
        host=host,
        profile=profile or None,
        settings=set_ or (),
        cards=cards,
        seed=seed,
        timeout=timeout,
        key=_path(sign),
    )
    dispatcher = registry.dispatcher(on, host)
    plan = dispatcher.plan(request)
    if dry_run:
        return dispatcher.show(plan)
    outcome = dispatcher.run(plan, RESULTS)
    _show_runs(book, outcome.records, format)
    outcome.require_passed()


def _show_runs(book: Catalogue, records: Sequence[Any], format: str) -> None:
    from harness.points import matrix

    if format != "bare":
        print()
        print(matrix.show(matrix.build(book, RESULTS), "table", explain=False))
    if format == "json":
        print(json.dumps([str(record.file) for record in records]))


@command("elsewhere")
def jobs(
    context: Context,
    once: Annotated[bool, Option(help="show them, and do not follow")] = False,
    cancel: Annotated[bool, Option(help="cancel those that are not over")] = False,
) -> None:
    """Follow the jobs that --on slurm has submitted, until all are over.

    What a job could not write itself is completed: a node that failed, a job that was cancelled or ran out of time
    leaves a record that says so. Ctrl-C asks whether to leave the jobs or cancel them. Exit code 1 if a cell failed,
    7 if a record did not come from its node.

    Examples:
      ./inv jobs                                 live, a line for each cell
      ./inv jobs --once                          as it is now
      ./inv jobs --cancel                        cancel all, and see them end
    """
    from harness.dispatch.slurm import following

    following.require_passed(following.show(RESULTS, once, cancel), [])


@command("run")
def build(
    context: Context,
    hw: Annotated[str, Option(help="names or aliases of kinds, several with commas, or all", values=options.kinds)],
    source: Annotated[
        bool, Option(help="build Paddle or its plug-in from source (hours) instead of taking the wheel")
    ] = False,
    base: Annotated[str, Option(help="the image to build on, instead of the kind's own")] = "",
    stack: options.Stack = "base",
    wheels: options.Wheels = "",
    tree: options.Sources = "",
    offline: Annotated[
        bool, Option(help="build without any network: the base, --wheels and --tree hold everything")
    ] = False,
    pin: Annotated[
        bool, Option(help="resolve the base's digest and the sources' commit, and keep them in docker/pins.json")
    ] = False,
    check_reproducible: Annotated[bool, Option(help="build twice from nothing and compare the bytes")] = False,
    push: Annotated[str, Option(help="push the image afterwards, under NAME: registry and repository")] = "",
    dry_run: Annotated[bool, Option(help="print the exact command, and build nothing")] = False,
) -> None:
    """Build the image of a kind of hardware.

    An image that was made from the files as they are is not built again.

    Examples:
      ./inv build --hw cpu                       with the wheels of the lock
      ./inv build --hw npu --wheels ~/wheels     with own wheels; --offline if they are complete
      ./inv build --hw cpu --base debian:12      on another base
      ./inv build --hw xpu --source              from source; goes on where it broke off
      ./inv build --hw all --dry-run             the commands, one a line
    """
    from harness.cli import building

    book = catalogues.load()
    kinds = cells.select_hardware(book, hw)
    images = [building.image(kind, stack, source, base, wheels, tree, offline) for kind in kinds]
    building.build_all(images, building.Wishes(pin=pin, twice=check_reproducible, push=push, dry_run=dry_run))


@command("look")
def matrix_(
    context: Context,
    format: options.MatrixFormat = "table",
    explain: Annotated[bool, Option(help="say why a cell does not count")] = False,
    from_: Annotated[str, Option(help="count the records of these stores instead, several with commas")] = "",
) -> None:
    """Show the points of every part on every kind of hardware.

    Examples:
      ./inv matrix
      ./inv matrix --explain                     a line of why for each cell that does not count
      ./inv matrix --format html > matrix.html
      ./inv matrix --format json | python -m json.tool
      ./inv matrix --from s3://team/homework     a whole team; a record in several stores counts once
    """
    from harness.points import matrix

    results, damage = _gathered(from_.split(",")) if from_ else (RESULTS, [])
    built = matrix.build(catalogues.load(), results)
    built = dataclasses.replace(built, damaged=[*built.damaged, *damage])
    print(matrix.show(built, format, explain))
    if format == "json":
        matrix.warn_of_damage(built)


def _gathered(addresses: Sequence[str]) -> tuple[Path, list[str]]:
    from harness.stores import team
    from harness.stores.opening import open_store

    return team.gather([open_store(address, reading=True) for address in addresses])


@command("share")
def upload(
    context: Context,
    to: options.Store = "",
    task: options.Parts = "",
    dry_run: Annotated[bool, Option(help="say what would be sent, and send nothing")] = False,
) -> None:
    """Send records, and what is attached to them, to a store.

    What is there is not sent again, a transfer that broke off goes on, and nothing is ever overwritten or deleted.

    Examples:
      ./inv upload                               to the folder store/ of the checkout
      ./inv upload --to /mnt/share/homework      to any other folder
      ./inv upload --to s3://team/homework       to a bucket; keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
      ./inv upload --to "s3://team/homework?service=bos&region=bj"
                                                 services: aws, bos, obs, oss, cos, minio, seaweedfs; any other by
                                                 endpoint=, addressing=, checksum=, conditional=, signature=, profile=
      HOMEWORK_STORE=s3://team/homework ./inv upload
                                                 or for good, in store.yaml:
                                                   default: team
                                                   stores: {team: "s3://team/homework?service=bos&region=bj"}
    """
    from harness.stores import transfer
    from harness.stores.opening import open_store

    store = open_store(to)
    outcome = transfer.upload(RESULTS, store, _parts(task), dry_run)
    print(transfer.summary(outcome, "Would upload" if dry_run else "Uploaded", f"to {store.address}"))
    transfer.require_all(outcome, "uploaded")


@command("share")
def download(
    context: Context,
    from_: options.Store = "",
    task: options.Parts = "",
    dry_run: Annotated[bool, Option(help="say what would be fetched, and fetch nothing")] = False,
) -> None:
    """Fetch the records of a store that are not here.

    Each is checked, seal and every hash, before it comes among the others; exit code 6 if one failed verification.

    Examples:
      ./inv download --from s3://team/homework   addresses as for upload: ./inv upload --help
      ./inv download --task 8-1                  from the store of the settings, one part
    """
    from harness.stores import transfer
    from harness.stores.opening import open_store

    store = open_store(from_, reading=True)
    outcome = transfer.download(RESULTS, store, _parts(task), dry_run)
    print(transfer.summary(outcome, "Would download" if dry_run else "Downloaded", f"from {store.address}"))
    transfer.require_all(outcome, "downloaded")


@command("share")
def sync(
    context: Context,
    with_: options.Store = "",
    task: options.Parts = "",
    dry_run: Annotated[bool, Option(help="say what would be moved, and move nothing")] = False,
) -> None:
    """Upload what a store lacks, and download what is not here.

    Examples:
      ./inv sync --with s3://team/homework       addresses as for upload: ./inv upload --help
    """
    failures = []
    for move in (upload, download):
        try:
            move.body(context, with_, task, dry_run)
        except VerificationError as error:
            failures.append(error)
    if failures:
        raise failures[0]


@command("look")
def tasks(context: Context, task: options.Parts = "", format: options.Format = "table") -> None:
    """List the tasks, or show one with its parameters.

    Examples:
      ./inv tasks
      ./inv tasks --task 4                       its parameters with type, range and default
      ./inv tasks --format json
    """
    from harness.cli import listing

    book = catalogues.load()
    parts = cells.select_parts(book, task or "all")
    print(listing.parts_json(parts) if format == "json" else listing.parts(parts, detailed=bool(task)))


@command("look")
def hardware(context: Context, hw: options.Kinds = "", format: options.Format = "table") -> None:
    """List the kinds of hardware, or show one.

    Examples:
      ./inv hardware
      ./inv hardware --hw ascend
      ./inv hardware --format json
    """
    from harness.cli import listing

    kinds = cells.select_hardware(catalogues.load(), hw or "all")
    print(listing.kinds_json(kinds) if format == "json" else listing.kinds(kinds, detailed=bool(hw)))


@command("look")
def doctor(context: Context, hw: options.Kinds = "auto") -> None:
    """Say what is here, what is missing, what to install.

    It holds driver, SDK, wheel and chip against what each kind requires.

    Exit code 3 when something that was asked for is missing.

    Examples:
      ./inv doctor                               the machine, and each kind found on it
      ./inv doctor --hw ascend                   what a machine for Ascend needs, and what is missing here
    """
    from harness.cli import listing
    from harness.doctor import checks
    from harness.machine import probe

    book = catalogues.load()
    kinds = list(book.hardware.values()) if hw == "auto" else cells.select_hardware(book, hw)
    findings = [probe.probe(kind) for kind in kinds]
    shown = [finding for finding in findings if finding or hw != "auto"]
    diagnoses = checks.everything(ROOT, book.parts.values(), shown)
    print(listing.diagnoses(diagnoses))
    absent = [finding.hardware.name for finding in findings if finding not in shown]
    if absent:
        print(terminal.dim(f"Not found here: {', '.join(absent)}. ./inv doctor --hw KIND says what was looked for."))
    if any(line.fits is False for _, lines in diagnoses for line in lines):
        raise HardwareError("Something is missing.", "The lines marked ✗ say what.", "Each names what to install.")


@command("look")
def show(context: Context, run: options.Run, format: options.Format = "table") -> None:
    """Show a record: what ran, where, with what result.

    Examples:
      ./inv show                                 the latest
      ./inv show 20261122T2319                   by the beginning of its id
      ./inv show latest --format json            the record itself
    """
    from harness.cli import listing
    from harness.evidence import records

    folder = _one_run("show", run)
    record = records.read(folder / records.FILE)
    print(json.dumps(record, indent=2, ensure_ascii=False) if format == "json" else listing.record(record, folder))


@command("evidence")
def verify(context: Context, run: options.RunOrPack, signers: options.Signers = "") -> None:
    """Check records, or a pack: hashes, schema, statement and verdict.

    Everything is computed and judged again; exit code 6 on any difference.
    A pack is taken for hostile: nothing of it is run, and what is not as a pack is made is refused.

    Examples:
      ./inv verify                               every record and attachment
      ./inv verify latest
      ./inv verify homework-13.zip               a pack, also one that came from someone else
      ./inv verify --signers team.txt homework-13.zip
    """
    from harness.verification import verifying

    book, allowed = catalogues.load(), _path(signers)
    if run.endswith(".zip"):
        from harness.verification import unpacking

        return print(unpacking.verify(Path(run).expanduser(), book, allowed))
    print(verifying.verify_all(RESULTS, run, book, allowed))


@command("evidence")
def attach(
    context: Context,
    what: options.Evidence,
    task: Annotated[str, Option(help="the part that they belong to: 6, 13-1", values=options.parts)] = "",
    kind: Annotated[
        str, Option(help="photo, track, link, pull request, article or conversation; else what it looks like")
    ] = "",
    note: Annotated[str, Option(help="a sentence to go with them")] = "",
    date: Annotated[str, Option(help="the day that they show, YYYY-MM-DD; a photo's own where it is left out")] = "",
    zone: Annotated[
        str, Option(help="the time zone of a track's days; else what the file says, else this machine's")
    ] = "",
    radius: Annotated[str, Option(help="metres around home that the drawing of a track leaves out; 500")] = "",
) -> None:
    """Add what only a person has to a part: a photo, a track, a link, a pull request, an article, a conversation.

    It is checked and sealed beside the records: photos lose their EXIF, texts their secrets, links are asked. Of a
    track (GPX, TCX, FIT) the day, distance, duration and a drawing are kept, and no position.

    Examples:
      ./inv attach                               what is attached
      ./inv attach --task 4 https://aistudio.baidu.com/projectdetail/1
      ./inv attach --task 6 https://github.com/PaddlePaddle/Paddle/pull/1
      ./inv attach --task 15 --date 2026-11-22 hill.jpg lake.jpg
      ./inv attach --task 15 --zone Asia/Shanghai run.gpx ride.fit
      HOMEWORK_HOME=31.23,121.47 ./inv attach --task 15 --radius 800 run.gpx
                                                 home is known, else start and end are taken for it
      ./inv attach --task 13-1 --note "the conversion" chat.md chat.png
    """
    from harness.attaching import attach as attaching
    from harness.attaching.outdoors import outings
    from harness.evidence import attachments

    if not what:
        return print(attachments.show(RESULTS))
    (part,) = _one_part(task)
    settings = outings.privacy(zone, radius)
    for folder in attaching.attach(RESULTS, part, what, kind, note, date, settings):
        data = attachments.read(folder)
        print(terminal.green("✓ attached") + f"  {data['kind']}: {data.get('checked', '')}   {os.path.relpath(folder)}")


@command("evidence")
def pair(
    context: Context,
    question: options.Question,
    endpoint: Annotated[
        str, Option(help="an OpenAI-compatible address, up to and with /v1; the key only from OPENAI_API_KEY")
    ] = "",
    model: Annotated[str, Option(help="the model's name at that endpoint")] = "",
    tests: options.Tests = "",
    file: Annotated[str, Option(help="what the code's file is called; solution.py where it is left out")] = "",
    turns: Annotated[int, Option(help="how many answers at most")] = 5,
    continue_: Annotated[str, Option(help="go on with a session that stopped: its id or the beginning of it")] = "",
    task: Annotated[str, Option(help="the part that it belongs to", values=options.parts)] = "12",
) -> None:
    """Ask a model for code, run it in a sandbox, and send what fails back, until the tests pass.

    The code has no network and sees nothing of this machine but its Python; time, memory, processes and files are
    limited. Every turn is kept, with a picture, also after Ctrl-C. It earns no points until it is attached, by which
    you say that it is your own daily work. Exit code 1 if the code did not pass.

    --continue makes a new session, which starts from the conversation, the code and the tests of an earlier one, and
    names it by id and hash; endpoint, model, tests and file are as they were, or as you write them. Without a question
    the last failure goes back. An earlier one that was changed is refused, with exit code 6.

    Examples:
      ./inv pair --endpoint http://127.0.0.1:8000/v1 --model M --tests test_dates.py --file dates.py "Parse my dates"
      OPENAI_API_KEY=… ./inv pair --endpoint https://api.example.com/v1 --model M --turns 3 "Print the first primes"
      ./inv pair --continue 20261122T2319        on from its last failure
      ./inv pair --continue 20261122T2319 --model N "Leap years too"
      ./inv attach --task 12 results/pairing/12/ID/conversation.md
    """
    from harness.assistant import dialogue
    from harness.evidence import sessions

    if not (continue_ or (question and endpoint and model)) or turns < 1:
        what = "pair needs --endpoint, --model and a question, or --continue; and a turn or more."
        raise UsageError(what, "", "./inv pair --help shows examples.")
    (part,) = _one_part(task)
    if continue_:
        session = dialogue.resume(RESULTS, part.name, continue_, question, endpoint, model, tests, file)
    else:
        session = dialogue.begin(RESULTS, part.name, question, endpoint, model, tests, file)
    onward = f"./inv pair --task {part.name} --continue {session.folder.name}"
    try:
        dialogue.converse(session, turns)
    finally:
        if session.turns:
            folder = os.path.relpath(session.folder)
            print(f"{folder}\nTo go on: {onward}{' QUESTION' if session.passed else ''}")
            print(f"If it is your own work: ./inv attach --task {part.name} {folder}/{sessions.CONVERSATION}")
    if not session.passed:
        raise HomeworkError("The code did not pass.", "The last turn says why.", f"Go on with {onward}")


@command("evidence")
def detach(context: Context, attachment: options.Attachment, note: Annotated[str, Option(help="why")] = "") -> None:
    """Take an attachment back.

    A withdrawal is sealed beside it, so that it does not count again when it comes back from a store.

    Examples:
      ./inv attach                               what is attached, with ids
      ./inv detach 20261122T231953
    """
    from harness.attaching import attach as attaching
    from harness.evidence import attachments

    folder = attaching.detach(RESULTS, attachment, note)
    print(f"{attachments.read(folder)['withdraws']} counts no more   {os.path.relpath(folder)}")


@command("share")
def pack(
    context: Context,
    task: Annotated[str, Option(help="one task or part: 13, 8-1", values=options.parts)],
    to: options.PackFile = "",
    crate: Annotated[bool, Option(help="add Workflow-Run RO-Crate metadata")] = False,
    sign: options.Key = "",
) -> None:
    """Make a submission: records, pictures, code and links in one zip, with a cover page.

    It is byte-identical when it is made again, and ./inv verify FILE.zip checks it anywhere.

    Examples:
      ./inv pack --task 13                       homework-13.zip
      ./inv pack --task 4 --crate --to plate.zip
      ./inv pack --task 4 --sign ~/.ssh/id_ed25519
    """
    from harness.publish.packs import archive

    book = catalogues.load()
    parts = cells.select_parts(book, task)
    file = _path(to) or Path(f"homework-{task}.zip")
    made = archive.make(book, parts, RESULTS, file, crate=crate, key=_path(sign))
    for line in made.missing:
        print(terminal.yellow(f"· still to be added: {line}"))
    print(
        terminal.green("✓ packed") + f"  {file}: {made.files} files, {made.size / 2**20:.1f} MiB, sha256 {made.sha256}"
    )


@command("run")
def reproduce(
    context: Context,
    run: options.RunOrReference,
    hw: Annotated[str, Option(help="another kind to run it on", values=options.kinds)] = "",
) -> None:
    """Run a record's cell again; compare the values.

    Part, parameters, seed and engine are those of the record; what differs beyond tolerance, and what differs in the
    environment, is printed. Exit code 1 on a difference beyond tolerance.

    Examples:
      ./inv reproduce                            the latest run, once more
      ./inv reproduce 20261122T2319              by the beginning of its id
      ./inv reproduce reference/8-1              the values that this project keeps in results/reference
      ./inv reproduce reference/8-1 --hw npu     the same on other hardware
    """
    from harness.comparison import comparing, references, reproduction

    part = run.removeprefix(f"{references.FOLDER}/")
    then = references.read(RESULTS, part) if part != run else comparing.outcome(_one_run("reproduce", run))
    found = reproduction.reproduce(then, reproduction.plan(then.record, catalogues.load(), hw), RESULTS)
    print(f"\n{comparing.show(found)}")
    comparing.require_same([found])


@command("look")
def compare(
    context: Context,
    task: options.Parts = "all",
    hw: Annotated[
        str, Option(help="kinds, with commas; the first is what the others are held against", values=options.kinds)
    ] = "",
    run: options.Runs = "",
    reference: Annotated[
        bool, Option(help="hold the latest run of each against results/reference, metrics as well")
    ] = False,
) -> None:
    """Compare the traces of runs, across hardware.

    Loss curves, outputs and fields of the latest passing runs with the same parameters and seed, within tolerances by
    type. The first step and tensor that differ are named. Exit code 1 on a difference.

    Examples:
      ./inv compare --task 8-1 --hw cpu,sim      a kind of hardware against another
      ./inv compare --run 20261122T23,latest     a run against another
      ./inv compare --reference --hw cpu         every part against the values that this project keeps
    """
    from harness.comparison import comparing, pairs

    book = catalogues.load()
    chosen = pairs.choose(book, RESULTS, cells.select_parts(book, task), hw, run, reference)
    found = [comparing.compare(part, then, now, with_metrics=reference) for part, then, now in chosen]
    print("\n\n".join(comparing.show(each) for each in found))
    comparing.require_same(found)


@command("evidence")
def reference(
    context: Context,
    task: options.Parts = "all",
    hw: Annotated[str, Option(help="the kind whose runs are taken", values=options.kinds)] = "cpu",
) -> None:
    """Keep the latest runs' values as the reference.

    Metrics and a sample of each trace, in results/reference/PART.json; ./inv compare --reference and
    ./inv reproduce reference/PART hold other runs against them.

    Examples:
      ./inv run --task 8-1 && ./inv reference --task 8-1
    """
    from harness.comparison import pairs, references

    book = catalogues.load()
    (kind,) = cells.select_hardware(book, hw)
    for part in cells.select_parts(book, task):
        latest = pairs.latest(RESULTS, part, kind, like=references.wanted(part))
        print(os.path.relpath(references.write(RESULTS, latest)) if latest else f"{part.name}: no passing run to take")


@command("look")
def report(context: Context, out: options.PageFile = "") -> None:
    """Write all results as one HTML page.

    Matrix with filter, and of every cell verdicts, metrics, plots, pictures, log, environment and provenance. The file
    needs no network, and can be sent as it is.

    Examples:
      ./inv report                               results/report.html
      ./inv report --out ~/report.html
    """
    from harness.points import matrix
    from harness.publish import report as reports

    book = catalogues.load()
    path = _path(out) or RESULTS / "report.html"
    built = matrix.build(book, RESULTS)
    matrix.warn_of_damage(built)
    text = reports.page(built, book, RESULTS)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"{os.path.relpath(path)}: {len(text) / 2**20:.1f} MiB")


@command("elsewhere")
def serve(context: Context, arguments: options.ServerArguments) -> None:
    """Serve a language model over HTTP, as OpenAI's API.

    Chat and completions, streaming or not, by the engine of task 10 on the CPU; any client of that API can ask. The
    first Ctrl-C lets every answer end, a second one stops at once. PADDLEHOMEWORK_API_KEY in the environment is the
    key that requests must show.

    Examples:
      ./inv serve                                SmolLM2, at http://127.0.0.1:8000/v1
      curl http://127.0.0.1:8000/v1/chat/completions -H "Content-Type: application/json" \\
        -d '{"model": "smollm2", "messages": [{"role": "user", "content": "Hello"}]}'
      ./inv serve --model ~/models/Llama-2-7b-chat-hf --weights int4 --blocks 1024
      ./inv serve --port 0                       a free port, which is printed
      PADDLEHOMEWORK_API_KEY=secret ./inv serve --host 0.0.0.0
    """
    from harness.cli import tools

    tools.require_options("serve", options.SERVER_OPTIONS, arguments)
    server = options.SERVER_OPTIONS.with_name("server.py")
    tools.become("inference", ("python", "-W", "ignore:No ccache found", str(server), *arguments))


@command("run")
def python(context: Context, program: options.Program) -> None:
    """Run a lesson by hand: a program of projects/ in its stack, which is installed first.

    Its exit code is the answer. It leaves no record; ./inv run does.

    Examples:
      ./inv python projects/04-plate/main.py --set grid=51
      ./inv python projects/04-plate/main.py --help                its own options
      ./inv python projects/08-ffn/main.py --part 8-1 --device sim
      ./inv python projects/06-open-source/findings/one_thread.py
    """
    from harness.cli import tools

    tools.lesson(catalogues.load(), program).run()


@command("develop")
def test(
    context: Context,
    only: Annotated[str, Option(help="paths or pytest's own options, in quotes")] = "tests",
    fast: Annotated[bool, Option(help="leave out the tests that run real programs")] = False,
) -> None:
    """Run the tests.

    Examples:
      ./inv test
      ./inv test --fast
      ./inv test --only "tests/unit/harness/points -k judged"
    """
    _tool("test", "pytest", *only.split(), *(["-m", "not slow"] if fast else []))


@command("develop")
def lint(context: Context) -> None:
    """Check style, types, what imports what, scripts and data files.

    Examples:
      ./inv lint
    """
    catalogues.load()
    dockerfiles = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("Dockerfile.*"))]
    scripts = [*SHELL_SCRIPTS, *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("docker/*.sh")))]
    workflows = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob(".github/workflows/*.yml"))]
    style = [
        ("ruff", "format", "--diff", "."),
        ("mypy",),
        ("lint-imports", "--no-cache", "--no-logo"),
        ("shellcheck", *scripts),
        ("hadolint", *dockerfiles),
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows),
    ]
    _tool("lint", "ruff", "check", ".", then=style)


@command("develop")
def docs(
    context: Context,
    serve: Annotated[bool, Option(help="show it at http://127.0.0.1:8000 and again when a text changes")] = False,
) -> None:
    """Build the documentation as a site.

    Pages of hardware, tasks, images, commands and files are made from this project's own texts and data. It fails at a
    dead link, and at a number in the article that no record has. The pages need no network to be read.

    Examples:
      ./inv docs                                 into .cache/site; open .cache/site/index.html
      ./inv docs --serve                         while writing
    """
    os.environ["NO_MKDOCS_2_WARNING"] = "1"  # news of the theme, which are none of the reader's
    if serve:
        _tool("docs", "mkdocs", "serve", "--strict")
    else:
        chinese = ("mkdocs", "build", "--strict", "--quiet", "-f", "mkdocs.zh.yml")  # below the English site
        _tool("docs", "mkdocs", "build", "--strict", "--quiet", then=[chinese])
        print("built: .cache/site/index.html, and in Chinese .cache/site/zh/index.html")


@command("develop")
def bench(context: Context, only: options.Measurements = "all") -> None:
    """Measure this program beside its peers.

    Both sides run in turn; medians and ratios are printed, and kept in docs/benchmarks.md.

    Examples:
      ./inv bench                                every measurement: an hour, and gigabytes of peers on first use
      ./inv bench --only startup                 how fast a command starts, beside nox, ReFrame and Snakemake
      ./inv bench --only allocator               Paddle's operators with glibc's defaults and with ours
    """
    from harness.cli import tools

    programs = tools.measurements()
    for name in programs if only == "all" else only.split(","):
        _tool(programs[name].stack, "python", str(ROOT / "bench" / "keep.py"), name)


def _parts(task: str) -> list[str] | None:
    return [part.name for part in cells.select_parts(catalogues.load(), task)] if task else None


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _one_part(task: str) -> list[Any]:
    parts = cells.select_parts(catalogues.load(), task or "none given")
    if len(parts) > 1:
        raise UsageError(
            f"--task {task}: {len(parts)} parts.", f"It has {', '.join(part.name for part in parts)}.", "Name one."
        )
    return parts


def _one_run(command: str, run: str) -> Path:
    from harness.evidence import records

    if run == "all":
        raise UsageError(f"{command} takes one run.", "`all` names every one.", f"./inv {command} latest")
    (folder,) = records.find(RESULTS, run)
    return folder


def _tool(stack: str, *command: str, then: Sequence[Sequence[str]] = ()) -> None:
    """Run a tool from the stack of that name; its own exit code decides."""
    from harness.cli import tools

    for each in (command, *then):
        tools.run(stack, each)
