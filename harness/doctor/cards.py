"""The doctor's lines for one kind of hardware: its cards, and driver ↔ SDK ↔ wheel, against what its data requires."""

import glob
import os
import platform
import re
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import system
from harness.catalogue import versions
from harness.doctor.diagnosis import Diagnosis, Use, version
from harness.machine import chips, probe
from harness.machine.probe import Finding

Data = Mapping[str, Any]


def heading(finding: Finding) -> str:
    """What the kind's lines stand under: its title, but where the cards are others of the vendor's."""
    data = finding.hardware.data
    others = finding.left_out or any(chips.chip(data, card) is None for card in finding.cards if data.get("chips"))
    return f"{finding.hardware.vendor} ({finding.hardware.name})" if others else finding.hardware.title


def lines(finding: Finding) -> list[Diagnosis]:
    """All lines of one kind."""
    data = finding.hardware.data
    return [
        *cards(finding),
        *driver(finding),
        *sdks(data),
        *pairs(finding),
        *access(data),
        *_container(data),
        *_device_runtime(data),
        *_wheels(data["wheels"]),
    ]


def cards(finding: Finding) -> Iterator[Diagnosis]:
    """The cards: those that can be used, those left out and why, those that other programs have."""
    data = finding.hardware.data
    models = ", ".join(f"{card.index}: {card.model}" for card in finding.cards)
    nothing = f"none that can be used; {finding.faults}" if finding.left_out else "none; " + "; ".join(finding.looked)
    yield Diagnosis("cards", models or nothing, bool(finding), remedy(finding), ("local", "container"))
    if finding and finding.left_out:
        yield Diagnosis("cards left out", finding.faults, None, remedy(finding))
    busy = "; ".join(f"{card.index}: {card.busy}" for card in finding.cards if card.busy)
    if busy:
        yield Diagnosis("cards that are busy", busy, None)
    unknown = sorted({card.model for card in finding.cards if chips.chip(data, card) is None})
    if unknown and "chips" in data:
        where = f"not in hardware/{finding.hardware.name}; whether the wheels have kernels for it is not judged"
        yield Diagnosis("chip", f"{', '.join(unknown)}: {where}", None)


def remedy(finding: Finding) -> str:
    """What to do about missing cards: what the chip's data says, what is known of the lister's words, or an install."""
    left_out = (chips.chip(finding.hardware.data, card) or {} for card in finding.left_out)
    told = (chip["remedy"] for chip in left_out if "remedy" in chip)
    known = probe.explained(finding)
    return next(told, known.remedy if known else str(finding.hardware.data["install"]))


def driver(finding: Finding) -> list[Diagnosis]:
    """The first card's driver against the range that its kind requires; nothing where it requires none.

    Nor is anything said of it where the wheels have no kernels for any card: no other driver would help.
    """
    data = finding.hardware.data
    wanted = data.get("requires", {}).get("driver")
    hopeless = bool(finding.left_out) and all(chips.lacking(data, card) for card in (*finding.cards, *finding.left_out))
    if wanted is None or hopeless:
        return []
    uses: tuple[Use, ...] = ("local", "container", "build")
    return [version("driver", _driver(finding), wanted, data["install"], uses, _scheme(data))]


def _scheme(data: Data) -> str:
    """How the versions are numbered that a driver's range is made of."""
    return str(data.get("requires", {}).get("driver_scheme", ""))


def _driver(finding: Finding) -> str | None:
    return next((card.driver for card in (*finding.cards, *finding.left_out) if card.driver), None)


def sdks(data: Data) -> list[Diagnosis]:
    """The vendor's SDKs on this machine against what the kind requires. An image holds its own."""
    return [_sdk(wanted) for wanted in data.get("requires", {}).get("sdks", ())]


def _sdk(wanted: Data) -> Diagnosis:
    name, clauses = wanted["name"], wanted.get("version", "")
    there, found = sdk_version(wanted)
    told = f"Install {name}{f' {clauses}' if clauses else ''}, or use the image, which holds it."
    if not there:
        return Diagnosis(name, f"not found: {', '.join(wanted['files'])}", False, told, ("local",))
    if not clauses:
        return Diagnosis(name, found or there, True, told, ("local",))
    return version(name, found, clauses, told, ("local",), wanted.get("scheme", ""))


def sdk_version(wanted: Data) -> tuple[str, str | None]:
    """The file that an SDK brought, "" where none is here, and the version that it tells."""
    files = [path for pattern in wanted["files"] for path in sorted(glob.glob(pattern))]
    for path in files if "read" in wanted else []:
        match = re.search(wanted["read"], _text(path), re.MULTILINE)
        if match:
            return path, match.group("version")
    return (files[0] if files else ""), None


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def pairs(finding: Finding) -> list[Diagnosis]:
    """What has to fit together, of driver, SDKs and wheels, as far as it is known here."""
    sdks = {each["name"]: sdk_version(each)[1] for each in finding.hardware.data.get("requires", {}).get("sdks", ())}
    found = ((pair, _pair(pair, _known(finding, sdks))) for pair in _pairs(finding))
    return [replace(line, needed_for=("local",)) if _of_sdks(pair, sdks) else line for pair, line in found if line]


def pairs_in_image(finding: Finding, sdks: Mapping[str, str]) -> list[Diagnosis]:
    """What has to fit together of this machine's driver and the SDKs that an image holds."""
    found = (_pair(pair, _known(finding, sdks)) for pair in _pairs(finding) if _of_sdks(pair, sdks))
    return [replace(line, needed_for=("container",)) for line in found if line]


def _pairs(finding: Finding) -> list[Data]:
    return list(finding.hardware.data.get("requires", {}).get("pairs", ()))


def _of_sdks(pair: Data, sdks: Collection[str]) -> bool:
    """Whether a pair is of an SDK, of which this machine has its own, and an image too."""
    return bool({*pair["where"], *pair["then"]} & {*sdks})


def _known(finding: Finding, sdks: Mapping[str, str | None]) -> dict[str, str | None]:
    """The versions that a pair can name."""
    wheels = dict.fromkeys(finding.hardware.data["wheels"]["packages"], finding.paddle)
    driver, scheme = _driver(finding) or "", _scheme(finding.hardware.data)
    return {**sdks, **wheels, "driver": driver if re.fullmatch(scheme or ".*", driver) else None}


def _pair(pair: Data, known: Mapping[str, str | None]) -> Diagnosis | None:
    if not all(versions.fits(known.get(name) or "", clauses) for name, clauses in pair["where"].items()):
        return None
    found = ", ".join(f"{name} {known[name]}" for name in (*pair["where"], *pair["then"]) if known.get(name))
    fits = [versions.fits(known.get(name) or "", clauses) for name, clauses in pair["then"].items()]
    wanted = ", ".join(f"{name} {clauses}" for name, clauses in pair["then"].items())
    judged = None if None in fits else all(fits)
    told = f"{found}; {wanted} wanted beside"
    return Diagnosis("pair", told, judged, pair["otherwise"], ("local", "container"))


def access(data: Data) -> list[Diagnosis]:
    """Whether this user may open the device files that are here; a container joins the groups that own them."""
    patterns = {*data.get("device_files", ()), *data.get("container", {}).get("devices", ())}
    files = sorted({path for pattern in patterns for path in glob.glob(pattern) if not os.path.isdir(path)})
    closed = [path for path in files if not os.access(path, os.R_OK | os.W_OK)]
    if not files:
        return []
    if not closed:
        return [Diagnosis("access to the device files", f"{len(files)} can be opened", True, "", ("local",))]
    owners: dict[str, list[str]] = {}
    groups, shut = set(), []
    for path in closed:
        about = os.stat(path)
        group = system.group_names().get(about.st_gid, str(about.st_gid))
        owners.setdefault(f"{stat.filemode(about.st_mode)}, group {group}", []).append(path)
        if about.st_mode & (stat.S_IRGRP | stat.S_IWGRP) and about.st_gid:
            groups.add(group)
        else:  # that of root is joined by no container
            shut.append(path)
    told = "; ".join(f"{', '.join(paths)} ({owner})" for owner, paths in owners.items())
    remedy = _give("video", shut) if shut else _join(sorted(groups))
    uses: tuple[Use, ...] = ("local", "container") if shut else ("local",)
    return [Diagnosis("access to the device files", f"not to {told}", False, remedy, uses)]


def _join(groups: Sequence[str]) -> str:
    """What makes this user a member of groups; one that has a number alone is given a name first."""
    made = "".join(f"sudo groupadd --gid {group} cards{group}; " for group in groups if group.isdigit())
    joined = ",".join(f"cards{group}" if group.isdigit() else group for group in groups)
    return f"{made}sudo usermod -aG {joined} {system.user_name()}, then log in anew."


def _give(group: str, files: Sequence[str]) -> str:
    """What opens files to a group; udev sets them as they were when the machine starts again."""
    names = " ".join(files)
    rule = "a rule of udev, or the driver's installer, keeps it so"
    return f"sudo chgrp {group} {names}; sudo chmod 660 {names} ({rule}). {_join([group])}"


def _container(data: Data) -> list[Diagnosis]:
    """What a container would be given of this machine: device files and mounts, each there or not."""
    needs = data.get("container", {})
    found_lines = []
    for subject, name in (("device files", "devices"), ("mounts", "mounts")):
        places = needs.get(name, ())
        absent = [place for place in places if not glob.glob(place)]
        if places:
            # Of the device files some come only with newer drivers; of the mounts each is needed.
            enough = len(absent) < len(places) if name == "devices" else not absent
            found = f"missing: {', '.join(absent)}" if absent else ", ".join(places)
            found_lines.append(Diagnosis(subject, found, enough, data["install"], ("container",)))
    return found_lines


def _device_runtime(data: Data) -> list[Diagnosis]:
    """Whether the program is here through which the engine hands the cards to a container, where it takes one."""
    wanted = data.get("container", {}).get("runtime")
    if not wanted:
        return []
    found = shutil.which(wanted)
    subject = "the engine's device runtime"
    told = found or f"no {wanted} on PATH"
    return [Diagnosis(subject, told, found is not None, data["install"], ("container",))]


def _wheels(wheels: Data) -> list[Diagnosis]:
    """Whether this Python and this processor are among those that there are wheels for."""
    pythons, machines, machine = wheels["python"], wheels["machines"], platform.machine()
    short = ".".join(platform.python_version_tuple()[:2])
    variant = f" ({wheels['variant']})" if "variant" in wheels else ""
    packages = f"{', '.join(wheels['packages'])}{variant} for Python {', '.join(pythons)}"
    other = f"This is Python {short}: PYTHON=/path/to/python{pythons[-1]} ./inv"
    none = f"There is no wheel for {machine}: take a machine with {', '.join(machines)}, or --hw cpu here."
    if wheels.get("source_only"):
        told = f"{', '.join(wheels['packages'])}: no index has them"
        return [Diagnosis("wheels", told, False, "Build the image from source, with --source.", ("local",))]
    return [
        Diagnosis("wheels", packages, short in pythons, other, ("local",)),
        Diagnosis("wheels' machines", ", ".join(machines), machine in machines, none, ("local",)),
    ]
