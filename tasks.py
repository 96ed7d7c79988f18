"""The commands: `./inv COMMAND` or, in the activated environment, `invoke COMMAND`.

Each is a thin function: it reads arguments and prints answers. How things are done stands in harness/.
"""

from pathlib import Path

from invoke import Context

from harness import cli
from harness.catalogue import cells
from harness.catalogue import entries as catalogues
from harness.checkout import ROOT
from harness.cli import options
from harness.cli.commands import command

RESULTS = ROOT / "results"


@command("run", bare="task")
def run(
    context: Context,
    task: options.Parts = "all",
    hw: options.Kinds = "auto",
    on: options.Place = "auto",
    host: options.Host = "",
    set_: options.Settings = None,
    profile: options.Profile = "",
    paddle: options.Paddle = "",
    wheels: options.Wheels = "",
    cards: options.Cards = 0,
    seed: options.Seed = 0,
    timeout: options.Timeout = "",
    missing: options.Missing = False,
    failed: options.Failed = False,
    sign: options.Key = "",
    dry_run: options.DryRun = False,
    verbose: options.Verbose = False,
    format: options.RunFormat = "table",
) -> None:
    """Run parts on the hardware here; ends with a summary and the matrix.

    Every cell leaves a sealed record under results/, with the program's log, which -v shows as well.
    """
    request = cli.running.select(
        catalogues.load(), RESULTS, task=task, timeout=timeout, profile=profile or None, hw=hw, on=on, host=host,
        settings=set_ or (), cards=cards, seed=seed, missing=missing, failed=failed, verbose=verbose,
        paddle=paddle, wheels=wheels,
        key=options.path(sign),
    )  # fmt: skip
    dispatcher = cli.running.dispatcher(on, host)
    plan = dispatcher.plan(request)
    if dry_run:
        return dispatcher.show(plan)
    outcome = dispatcher.run(plan, RESULTS)
    cli.running.show(outcome, request, format)
    outcome.require_passed()


@command("run", bare="hw", apart=[("offline", "pin"), ("offline", "push")])
def build(
    context: Context,
    hw: options.Kinds,
    source: options.Source = False,
    base: options.Base = "",
    stack: options.Stack = "base",
    paddle: options.Paddle = "",
    wheels: options.Wheels = "",
    tree: options.Sources = "",
    offline: options.Offline = False,
    pin: options.Pin = False,
    check_reproducible: options.Twice = False,
    push: options.Push = "",
    dry_run: options.DryRun = False,
) -> None:
    """Build the image of a kind of hardware.

    An image that was made from the files as they are is not built again.
    """
    from harness.catalogue import releases

    asked = [(kind, each) for kind in cells.select_hardware(catalogues.load(), hw) for each in releases.asked(paddle)]
    images = [cli.building.image(kind, stack, source, base, wheels, tree, offline, each) for kind, each in asked]
    cli.building.build_all(images, cli.building.Wishes(pin=pin, twice=check_reproducible, push=push, dry_run=dry_run))


@command("run")
def reproduce(context: Context, run: options.RunOrReference, hw: options.Kind = "") -> None:
    """Run a record's cell again; compare the values.

    Part, parameters, seed and engine are those of the record; what differs beyond tolerance, and what differs in the
    environment, is printed. Exit code 1 on a difference beyond tolerance.
    """
    cli.evidence.reproduce(RESULTS, run, catalogues.load(), hw)


@command("run")
def python(context: Context, program: options.Program) -> None:
    """Run a lesson by hand: a program of projects/ in its stack, which is installed first.

    Its exit code is the answer. It leaves no record; ./inv run does.
    """
    cli.tools.lesson(catalogues.load(), program).run()


@command("look")
def matrix(
    context: Context,
    format: options.MatrixFormat = "table",
    explain: options.Explain = False,
    paddle: options.Paddle = "",
    from_: options.Stores = "",
) -> None:
    """Show the points of every part on every kind of hardware."""
    cli.listing.matrix(catalogues.load(), RESULTS, from_, format, explain, paddle)


@command("look", bare="task")
def tasks(
    context: Context, task: options.Parts = "", paddle: options.Paddle = "", format: options.Format = "table"
) -> None:
    """List the tasks, or show one with its parameters, or what each runs with in a version of Paddle."""
    parts = cells.select_parts(catalogues.load(), task or "all")
    if paddle and format == "table":
        return print(cli.listing.versions(parts, paddle))
    print(cli.listing.parts_json(parts) if format == "json" else cli.listing.parts(parts, detailed=bool(task)))


@command("look", bare="hw")
def hardware(context: Context, hw: options.Kinds = "", format: options.Format = "table") -> None:
    """List the kinds of hardware, or show one."""
    kinds = cells.select_hardware(catalogues.load(), hw or "all")
    print(cli.listing.kinds_json(kinds) if format == "json" else cli.listing.kinds(kinds, detailed=bool(hw)))


@command("look", bare="hw")
def doctor(context: Context, hw: options.Kinds = "auto", paddle: options.Paddle = "", log: options.Log = "") -> None:
    """Say what is here, what is missing, what to install; or what a log tells.

    It holds driver, SDK, wheel and chip against what each kind requires.

    Exit code 3 when something that was asked for is missing.
    """
    cli.diagnosing.diagnose(catalogues.load(), hw, log, paddle)


@command("look")
def show(context: Context, run: options.Run, format: options.Format = "table") -> None:
    """Show a record: what ran, where, with what result."""
    cli.listing.show(RESULTS, run, format)


@command("look", bare="task", apart=[("run", "hw"), ("run", "task")])
def compare(
    context: Context,
    task: options.Parts = "all",
    hw: options.Kinds = "",
    run: options.Runs = "",
    reference: options.Reference = False,
    paddle: options.Paddle = "",
) -> None:
    """Compare the traces of runs, across hardware and versions of Paddle.

    Loss curves, outputs and fields of the latest passing runs with the same parameters and seed, within tolerances by
    type. The first step and tensor that differ are named. Exit code 1 on a difference.
    """
    from harness.comparison import comparing, pairs

    book = catalogues.load()
    parts = [] if run else cells.select_parts(book, task)
    chosen = pairs.choose(book, RESULTS, parts, hw, run, reference, paddle)
    held = reference or bool(paddle)
    found = [comparing.compare(part, then, now, with_metrics=held) for part, then, now in chosen]
    print("\n\n".join([*map(comparing.show, found), *[comparing.summary(found, parts)] * (len(found) > 1)]))
    comparing.require_same(found)


@command("look", only_with={"board": ("from", "paddle", "signers", "address")})
def report(
    context: Context,
    out: options.PageFile = "",
    board: options.Board = False,
    from_: options.Stores = "",
    paddle: options.Paddle = "",
    signers: options.Names = "",
    address: options.Address = "",
) -> None:
    """Write all results as one HTML page, or the public board of many people's.

    Matrix with filter, and of every cell verdicts, metrics, plots, pictures, log, environment and provenance. The file
    needs no network, and can be sent as it is. With --board: every part by hardware and version of Paddle, who signed,
    and how to run it again; from a folder, a bucket or over https, by the records alone.
    """
    if board:
        path = options.path(out) or RESULTS / "board.html"
        cli.evidence.board(RESULTS, catalogues.load(), path, from_, options.path(signers), paddle, address)
    else:
        cli.evidence.report(RESULTS, catalogues.load(), options.path(out) or RESULTS / "report.html")


@command("look", apart=[("free", "format")])
def clean(context: Context, free: options.Freed = "", format: options.Format = "table") -> None:
    """Show what this checkout keeps on disk, and free it.

    Records and what you attached are never among it. What is freed is made or fetched again when it is needed.
    """
    cli.cleaning.clean(free, format)


@command("evidence")
def verify(context: Context, run: options.RunOrPack, signers: options.Signers = "") -> None:
    """Check records, or a pack: hashes, schema, statement and verdict.

    Everything is computed and judged again; exit code 6 on any difference.
    A pack is taken for hostile: nothing of it is run, and what is not as a pack is made is refused.
    """
    print(cli.evidence.verify(RESULTS, run, catalogues.load(), options.path(signers)))


@command("evidence")
def attach(
    context: Context,
    what: options.Evidence,
    task: options.PartOfEvidence = "",
    kind: options.EvidenceKind = "",
    note: options.Note = "",
    date: options.Day = "",
    zone: options.Zone = "",
    radius: options.Radius = "",
    check: options.AskAgain = False,
) -> None:
    """Add what only a person has to a part: a photo, a track, a link, a pull request, an article, a conversation.

    It is checked and sealed beside the records: photos lose their EXIF, texts their secrets, links are asked. Of a
    track (GPX, TCX, FIT, KML, also as .gz) the day, distance, duration and a drawing are kept, and no position.

    An address that was not reached waits, and counts once it answers: it is asked again by --check, and whenever
    something is attached. One on this machine or in its network is refused, and one that is not where the part asks
    for it. The same picture counts once, and a part takes only what it asks for.
    """
    cli.evidence.attach(RESULTS, catalogues.load(), what, task, kind, note, date, zone, radius, check)


@command("evidence")
def pair(
    context: Context,
    question: options.Question,
    endpoint: options.Endpoint = "",
    model: options.Model = "",
    tests: options.Tests = "",
    file: options.CodeFile = "",
    turns: options.Turns = 5,
    continue_: options.Continued = "",
    task: options.PartOfEvidence = "12",
) -> None:
    """Ask a model for code, run it in a sandbox, and send what fails back, until the tests pass.

    The code has no network and sees nothing of this machine but its Python; time, memory, processes and files are
    limited. Every turn is kept, with a picture, also after Ctrl-C. It earns no points until it is attached, by which
    you say that it is your own daily work. Exit code 1 if the code did not pass.

    --continue makes a new session, which starts from the conversation, the code and the tests of an earlier one, and
    names it by id and hash. Without a question the last failure goes back. An earlier one that was changed is refused,
    with exit code 6.
    """
    part = cells.select_part(catalogues.load(), task).name
    asked = {"question": question, "endpoint": endpoint, "model": model, "tests": tests, "file": file}
    cli.evidence.pair(RESULTS, part, continue_, turns, **asked)


@command("evidence")
def detach(context: Context, attachment: options.Attachment, note: options.Note = "") -> None:
    """Take an attachment back.

    A withdrawal is sealed beside it, so that it does not count again when it comes back from a store.
    """
    cli.evidence.detach(RESULTS, attachment, note)


@command("evidence", bare="task")
def reference(context: Context, task: options.Parts = "all", hw: options.KindOfReference = "cpu") -> None:
    """Keep the latest runs' values as the reference.

    Metrics and a sample of each trace, in results/reference/PART.json; ./inv compare --reference and
    ./inv reproduce reference/PART hold other runs against them.
    """
    cli.evidence.keep_references(RESULTS, catalogues.load(), task, hw)


@command("share", bare="to")
def upload(
    context: Context,
    to: options.Store = "",
    task: options.Parts = "",
    repair: options.Repair = False,
    dry_run: options.DryRun = False,
) -> None:
    """Send records, and what is attached to them, to a store.

    What is there is not sent again, a transfer that broke off goes on, and nothing that is whole is ever overwritten or
    deleted. Keys that may only write do for it.
    """
    cli.moving.move(RESULTS, ["repair" if repair else "up"], to, cells.names(catalogues.load(), task), dry_run)


@command("share", bare="from")
def download(
    context: Context, from_: options.Store = "", task: options.Parts = "", dry_run: options.DryRun = False
) -> None:
    """Fetch the records of a store that are not here.

    Each is checked, seal and every hash, before it comes among the others; exit code 6 if one failed verification.
    """
    cli.moving.move(RESULTS, ["down"], from_, cells.names(catalogues.load(), task), dry_run)


@command("share", bare="with")
def sync(
    context: Context, with_: options.Store = "", task: options.Parts = "", dry_run: options.DryRun = False
) -> None:
    """Upload what a store lacks, and download what is not here."""
    cli.moving.move(RESULTS, ["up", "down"], with_, cells.names(catalogues.load(), task), dry_run)


@command("share", bare="task")
def pack(
    context: Context,
    task: options.Parts,
    to: options.PackFile = "",
    crate: options.Crate = False,
    sign: options.Key = "",
) -> None:
    """Make a submission: records, pictures, code and links in one zip, with a cover page.

    It is byte-identical when it is made again, and ./inv verify FILE.zip checks it anywhere.
    """
    file = options.path(to) or Path(f"homework-{task}.zip")
    cli.evidence.pack(RESULTS, catalogues.load(), task, file, crate, options.path(sign))


@command("elsewhere", apart=[("once", "cancel")])
def jobs(context: Context, once: options.Once = False, cancel: options.Cancel = False) -> None:
    """Follow what --on slurm, --on kubernetes and --host have begun elsewhere, until all is over.

    What a job could not write itself is completed: a node that failed, a job that was cancelled or ran out of time, a
    run here that was killed leaves a record that says so. Ctrl-C asks whether to leave the jobs or cancel them. Exit
    code 1 if a cell failed, 7 if a record did not come from its node.
    """
    from harness.dispatch import jobs as begun

    begun.show(RESULTS, once, cancel)


@command("elsewhere")
def serve(context: Context, arguments: options.ServerArguments) -> None:
    """Serve a language model over HTTP, as OpenAI's API.

    Chat and completions, streaming or not, by the engine of task 10 on the CPU; any client of that API can ask. The
    first Ctrl-C lets every answer end, a second one stops at once. PADDLEHOMEWORK_API_KEY in the environment is the
    key that requests must show.
    """
    cli.tools.serve(arguments)


@command("develop")
def test(context: Context, only: options.TestPaths = "", fast: options.Fast = False) -> None:
    """Run the tests."""
    cli.tools.test(only, fast)


@command("develop")
def lint(context: Context) -> None:
    """Check style, types, what imports what, scripts and data files."""
    catalogues.load()
    cli.tools.lint()


@command("develop")
def docs(context: Context, serve: options.Served = False) -> None:
    """Build the documentation as a site.

    Pages of hardware, tasks, images, commands and files are made from this project's own texts and data. It fails at a
    dead link, and at a number in the article that no record has. The pages need no network to be read.
    """
    cli.tools.docs(serve)


@command("develop", bare="only")
def bench(context: Context, only: options.Measurements = "all") -> None:
    """Measure this program beside its peers.

    Both sides run in turn; medians and ratios are printed, and kept in docs/benchmarks.md.
    """
    cli.tools.bench(only)
