"""Images: one for each kind of hardware and stack, built from Dockerfile.<kind> by the engine's own client.

The functions return commands; `build` runs them. What decides an image is its recipe: the image keeps the recipe's
hash as a label, so that one that is older than its files is known, and one that is not is not built again.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.catalogue import releases, versions
from harness.catalogue.entries import Hardware
from harness.catalogue.releases import Release
from harness.checkout import ROOT
from harness.environments import inventory, pins, stacks, uv
from harness.environments.client import Client
from harness.errors import BuildError, EngineError
from harness.terminal import Live

LABEL = "io.paddlehomework."
SHOWN_LINES = 25
IMAGES_PYTHON = "3.10"  # which docker/python.sh takes first


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image to be built.

    `tools` are commands that its programs call, `wheels` is a folder of own wheels, `tree` one with own sources,
    `built` one with the wheels that were compiled from source (sources.py), for the target `source`;
    `arguments` are further build arguments; an `offline` build has no network at all, and installs no tools.
    """

    hardware: Hardware
    stack: str = "base"
    target: str = "wheel"
    base: str = ""
    tools: tuple[str, ...] = ()
    wheels: Path | None = None
    tree: Path | None = None
    built: Path | None = None
    offline: bool = False
    arguments: tuple[tuple[str, str], ...] = ()
    root: Path = ROOT
    release: Release | None = None

    @property
    def paddle(self) -> Release:
        """The version of Paddle: the one asked for, else the kind's own; the image brings its own Python."""
        return self.release or releases.load().default(self.hardware, IMAGES_PYTHON)

    @property
    def tag(self) -> str:
        return self.paddle.of(self.stack)

    @property
    def name(self) -> str:
        return f"{os.environ.get('HOMEWORK_IMAGES', 'paddlehomework')}/{self.hardware.name}:{self.tag}"

    @property
    def dockerfile(self) -> Path:
        return self.root / f"Dockerfile.{self.hardware.name}"

    @property
    def lock(self) -> Path:
        return stacks.stack(self.stack, None, self.root, self.paddle).lock

    @property
    def beside(self) -> Path | None:
        """The lock of what the vendor's SDK imports into programs."""
        return stacks.beside(self.hardware, self.root)

    @property
    def files(self) -> list[Path]:
        """What the build sees, in order: nothing of projects/, so that a change there builds nothing."""
        shared = [path for path in sorted((self.root / "docker").iterdir()) if path.suffix in (".sh", ".py")]
        bootstrap = self.root / "docker" / "locks" / "pip.txt"
        beside = [self.beside] if self.beside else []
        return [*shared, self.lock, *beside, *([bootstrap] if bootstrap.is_file() else []), *self._plug_in()]

    @property
    def recipe(self) -> str:
        """The hash of all that decides the image but its base, which may be anyone's."""
        chosen = [*self.tools, self.hardware.data["wheels"].get("index", "")]
        digest = hashlib.sha256(self.dockerfile.read_bytes() + " ".join(chosen).encode() + self._unlisted)
        for path in self.files:
            digest.update(path.relative_to(self.root).as_posix().encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()

    @property
    def _unlisted(self) -> bytes:
        return b"" if self.paddle.listed else self.paddle.version.encode()

    def _plug_in(self) -> list[Path]:
        """The sources of a plug-in that this project has itself."""
        folder = self.root / "hardware" / self.hardware.name
        return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in (".cc", ".h", ".py"))


def base(image: Image, machine: str = "") -> str:
    """The image to build on: the one asked for, else the kind's, by digest where `--pin` has written it.

    `machine` is the engine's, which builds for its own; that is this one where it is not said.
    """
    named = _named_base(image, machine)
    return pins.read(image.root).get(named, named)


def _named_base(image: Image, machine: str) -> str:
    named: str = image.base or image.hardware.data["image"]["base"]
    return named.replace("{machine}", machine or platform.machine()).replace("{paddle}", image.paddle.version)


def arguments(image: Image, machine: str = "") -> dict[str, str]:
    """The build arguments that the data files give."""
    data = image.hardware.data
    wheels = data["wheels"]
    pinned = (f"{name}={value}" for name, value in sorted(pins.read(image.root).items()) if name.endswith(".whl"))
    given = {
        "BASE": base(image, machine),
        "STACK": image.stack,
        "PACKAGES": " ".join(wheels["packages"]),
        "INDEX": wheels.get("index", ""),
        "PINS": " ".join(pinned),
        "PYTHONS": " ".join(version for version in image.paddle.python if version in wheels["python"]),
        "SETUP": " ".join(data.get("setup", ())),
        "TOOLS": "" if image.offline else " ".join(image.tools),
    }
    return {**given, **dict(image.arguments)}


def command(image: Image, client: Client, context: Path, labels: Mapping[str, str], target: str = "wheel") -> list[str]:
    """The command that builds a target of the Dockerfile from the staged context: the image, or what compiles."""
    given = arguments(image, client.machine)
    words = build_words(client, context, image.dockerfile.name, given, labels, image.offline)
    return [*words, "--target", target, "--tag", image.name + ("" if target == "wheel" else f"-{target}"), str(context)]


def build_words(
    client: Client, context: Path, file: str, given: Mapping[str, str], labels: Mapping[str, str], offline: bool
) -> list[str]:
    """The words of every build from a staged context, up to its name: progress, arguments, labels and secrets."""
    words = [client.path, "build", "--file", str(context / file)]
    words += ["--progress", "plain"] if client.builder != "podman" else []
    words += ["--load", "--provenance=false"] if client.builder == "buildx" else []
    words += ["--network", "none"] if offline else []
    for name, value in given.items():
        words += ["--build-arg", f"{name}={value}"]
    for name, value in labels.items():
        words += ["--label", f"{name}={value}"]
    for name in ("pip", "ca"):
        words += ["--secret", f"id={name},src={secrets_folder(context) / name}"]
    return words


def secrets_folder(context: Path) -> Path:
    """Where a build's secrets lie: beside the context, never in it."""
    return sibling(context, ".secrets")


def sibling(context: Path, ending: str) -> Path:
    """What lies beside a build's context under its name, which may end in a version: 3.3.0 is no suffix."""
    return context.with_name(context.name + ending)


def stage(image: Image) -> Path:
    """Lay out the build's context: Dockerfile, the shared scripts, one lock, and the wheels that are there already."""
    context = image.root / ".cache" / "builds" / f"{image.hardware.name}-{image.tag}"
    shutil.rmtree(context, ignore_errors=True)
    for path in (image.dockerfile, *image.files):
        place = context / path.relative_to(image.root)
        if path in (image.lock, image.beside):
            place = context / "docker" / "locks" / (path.name if path == image.lock else "beside.txt")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)
    if not image.paddle.listed:
        lock = stacks.stack(image.stack, None, image.root, image.paddle).lock_text
        (context / "docker" / "locks" / image.lock.name).write_text(f"{lock}paddlepaddle=={image.paddle.version}\n")
    for name, folder in (("wheels", image.wheels), ("built", image.built)):
        (context / name).mkdir(parents=True, exist_ok=True)
        for wheel in sorted(folder.glob("*.whl")) if folder else []:
            _link(wheel, context / name / wheel.name)
    pip = uv.pip_settings()
    if image.offline:
        pip["no-index"] = "true"  # pip would ask again and again, and say nothing of what is missing
    _write_secrets(secrets_folder(context), pip)
    return context


def _link(file: str | Path, place: str | Path) -> None:
    """The same file at another place, copied only where it must be: wheels and sources are gigabytes."""
    try:
        os.link(file, place, follow_symlinks=False)
    except OSError:
        shutil.copy2(file, place, follow_symlinks=False)


def _write_secrets(folder: Path, pip: Mapping[str, str]) -> None:
    """pip's settings and the bundle of certificates; what names this machine's own files cannot hold in a build."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = {name: _reachable(value) for name, value in pip.items() if name in REACHABLE}
    lines = [f"{name} = {value}" for name, value in kept.items() if value]
    bundle = pip.get("cert") or os.environ.get("SSL_CERT_FILE") or ""
    for name, content in {"pip": "\n".join(["[global]", *lines, ""]), "ca": _text(Path(bundle))}.items():
        place = folder / name
        place.touch(mode=0o600)
        place.write_text(content)


REACHABLE = ("index-url", "extra-index-url", "find-links", "trusted-host", "timeout", "default-timeout", "no-index")


def _reachable(value: str) -> str:
    return " ".join(word for word in value.split() if not word.startswith(("/", "file:")))


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


# Building


def build(image: Image, client: Client, revision: str | None) -> str:
    """Build the image, with progress, and label it with what it holds.

    Returns:
        The image's id.

    Raises:
        BuildError: a step failed; its end is shown, and the whole log kept.
    """
    require_builder(client)
    context = stage(image)
    log = sibling(context, ".log")
    log.unlink(missing_ok=True)
    labels = {"org.opencontainers.image.revision": revision or "", LABEL + "recipe": image.recipe}
    labels[LABEL + "lock"] = hashlib.sha256(image.lock.read_bytes()).hexdigest()
    try:
        run(command(image, client, context, labels), log, f"Building {image.name}")
        unlabelled = (client.inspect(image.name) or {}).get("Id")
        held = inventory.read(client, image.name, _sdks(image.hardware))
        bill = inventory.bill(held, image.name)
        sibling(context, ".cdx.json").write_text(bill)
        labels[LABEL + "sbom"] = hashlib.sha256(bill.encode()).hexdigest()
        labels[LABEL + "wheels"] = json.dumps(held["wheels"], sort_keys=True)
        labels[LABEL + "python"] = held["python"]
        labels[LABEL + "sdks"] = json.dumps(held["sdks"], sort_keys=True)
        # Every step is cached: it only adds the labels.
        run(command(image, client, context, labels), log, f"Labelling {image.name}")
    finally:
        shutil.rmtree(secrets_folder(context), ignore_errors=True)
    built = client.inspect(image.name)
    assert built, "it was built just now"
    if unlabelled and unlabelled != built["Id"]:
        client.read("rmi", unlabelled)
    return str(built["Id"])


def require_builder(client: Client) -> None:
    """Refuse a client that cannot mount caches and secrets into a build."""
    if not client.builder:
        why = "It has neither buildx nor a BuildKit of its own, and a build needs its cache and secret mounts."
        raise EngineError(
            f"{client.path} cannot build.", why, "apt-get install docker-buildx, or docker.io on Debian 12."
        )


def up_to_date(image: Image, client: Client) -> bool:
    """Whether the engine has the image, made from the files as they are."""
    found = client.inspect(image.name)
    return found is not None and label(found, "recipe") == image.recipe


def unfit_sdks(hardware: Hardware, found: Mapping[str, Any]) -> str:
    """Which of the vendor's SDKs in an image is none that the kind's wheels run with, in words; empty where all are."""
    held = sdks(found)
    judged = [sdk for sdk in _sdks(hardware) if "version" in sdk]
    unfit = [
        sdk
        for sdk in judged
        if versions.fits(held.get(sdk["name"], ""), sdk["version"], sdk.get("scheme", "")) is False
    ]
    return ", ".join(f"{sdk['name']} {held[sdk['name']]} in the image, {sdk['version']} wanted" for sdk in unfit)


def sdks(found: Mapping[str, Any]) -> dict[str, str]:
    """The versions of the vendor's SDKs that were read in an image when it was built."""
    held: dict[str, str | None] = json.loads(label(found, "sdks") or "{}")
    return {name: version for name, version in held.items() if version}


def _sdks(hardware: Hardware) -> Sequence[Mapping[str, Any]]:
    sdks: Sequence[Mapping[str, Any]] = hardware.data.get("requires", {}).get("sdks", ())
    return sdks


def label(found: Mapping[str, Any], name: str) -> str | None:
    """One of this project's labels on an image that the engine described."""
    value: str | None = ((found.get("Config") or {}).get("Labels") or {}).get(LABEL + name)
    return value


def pin(image: Image, client: Client) -> dict[str, str]:
    """Resolve the base's digest at its registry, and for a build from source the commit, into docker/pins.json.

    Returns:
        What was resolved now.

    Raises:
        EngineError: no registry answers for the base, or no repository for the sources.
    """
    named = _named_base(image, client.machine)
    print(f"Asking for {named}", file=sys.stderr, flush=True)
    with Live(f"Pulling {named}", sys.stderr, signs=True):
        code = subprocess.run([client.path, "pull", "--quiet", named], stdout=sys.stderr).returncode
    if code != 0:
        raise EngineError(
            f"{named} cannot be pinned.", "No registry answers for it; see its output above.", "Build without --pin."
        )
    repository = named.rpartition(":")[0] if ":" in named.rpartition("/")[2] else named
    digests = (client.inspect(named) or {}).get("RepoDigests") or []
    own = [digest for digest in digests if digest.partition("@")[0].endswith(repository)]
    if not own:
        raise EngineError(f"{named} has no digest.", "It does not come from a registry.", "Build without --pin.")
    found = {named: str(own[0])}
    if image.target == "source":
        source = image.hardware.data["source"]
        found[f"{source['repository']}@{revision(image)}"] = _commit(source["repository"], revision(image))
    pins.keep(image.root, found)
    return found


def pin_wheels(image: Image, client: Client) -> dict[str, str]:
    """Keep the hashes of the vendor's wheels in an image in docker/pins.json: no other file passes for them again."""
    wheels = json.loads(label(client.inspect(image.name) or {}, "wheels") or "{}")
    found = {name: sha256 for name, sha256 in wheels.items() if not name.startswith("paddlepaddle-")}
    if image.built is None and found:
        pins.keep(image.root, found)
        return found
    return {}


def revision(image: Image) -> str:
    """Which sources are taken: a commit, a tag or a branch; of another version than the kind's own, by its number."""
    own, asked = releases.load().own(image.hardware).version, image.paddle.version
    named: str = image.hardware.data["source"].get("revision", f"v{own}")
    if asked == own:
        return named
    return f"v{asked}" if re.fullmatch(r"[0-9a-f]{40}", named) else named.replace(own, asked)


def _commit(repository: str, name: str) -> str:
    """The commit that a branch or tag of a repository names today; a commit names itself."""
    if re.fullmatch(r"[0-9a-f]{40}", name):
        return name
    done = subprocess.run(["git", "ls-remote", repository, name, f"{name}^{{}}"], capture_output=True, text=True)
    lines = done.stdout.split()
    if done.returncode != 0 or not lines:
        why = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"It has no {name}."
        raise EngineError(f"{repository} cannot be pinned.", why, "Build without --pin.")
    return lines[-2]  # of a tag and the commit it leads to, the commit comes last


def run(words: Sequence[str], log: Path, what: str) -> None:
    """Run a build: its step as one live line on terminals, elsewhere line by line; all of it in the log."""
    tail = deque[str](maxlen=SHOWN_LINES)
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    with (
        log.open("a") as file,
        Live(what, sys.stderr, signs=True) as live,
        subprocess.Popen(
            words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            tail.append(line)
            if "[" in line and line.startswith(("#", "[")):  # as BuildKit and as Podman begin a step
                live.doing(line)
                if not live.drawn:
                    print(f"{live.seconds:6.1f} s  {line.strip()[:110]}", file=sys.stderr, flush=True)
    if process.returncode != 0:
        print("".join(tail), file=sys.stderr, end="")
        raise BuildError(
            "The image could not be built.",
            f"See the end of the failed step above; the whole log is {os.path.relpath(log)}.",
            "Mend it and call again: the steps before it are kept.",
        )
