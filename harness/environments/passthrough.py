"""What of this machine goes into a container with its cards: device files, the groups that own them, the driver."""

import glob
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import system
from harness.environments import client as clients
from harness.environments.client import Client


def words(data: Mapping[str, Any], client: Client, card_ids: Sequence[str] = (), root: bool = False) -> Iterator[str]:
    """The client's options for what hardware.yaml names under `container`.

    Args:
        data: the whole of hardware.yaml.
        client: which engine's words they are.
        card_ids: the cards that were chosen; none: all.
        root: whether root runs in the container, who needs no group.
    """
    needs = data.get("container", {})
    options = {name: value for name, value in needs.get("options", {}).items() if name != "network_mode"}
    if options.get("ipc_mode") == "host":
        options.pop("shm_size", None)
    if "gpus" in options and card_ids:
        options["gpus"] = f'"device={",".join(card_ids)}"'  # the option is a line of CSV: hence the quotes
    files = devices(needs.get("devices", ()), card_ids)
    if _without_root(client):
        options.pop("ulimit", None)  # it can raise none
    named = options.pop("group_add", [])
    if not root:
        options["group_add"] = groups(named, [*files, *devices(data.get("device_files", ()), card_ids)], client)
    yield from clients.words(options)
    if needs.get("privileged"):
        yield "--privileged"
    for file in files:
        yield from ("--device", file)
    for place in needs.get("mounts", ()):
        if Path(place).exists():
            yield from ("--volume", f"{place}:{place}:ro")


def devices(patterns: Sequence[str], card_ids: Sequence[str]) -> list[str]:
    """The device files to pass on: one that ends in a number is that card's, and goes only with it."""
    found = sorted({path for pattern in patterns for path in glob.glob(pattern)})
    number = re.compile(r"\d+$")
    return [path for path in found if not card_ids or not (own := number.search(path)) or own.group() in card_ids]


def groups(named: Sequence[str], files: Sequence[str], client: Client) -> list[str]:
    """The groups to join, by number: the image may lack their names, and give their numbers to others.

    They are those that are named and here, and those that own the device files, or those in a folder of them.
    """
    if _without_root(client):
        return ["keep-groups"]  # without root it can give no other than the caller's own
    numbers = {number for number, name in system.group_names().items() if name in named}
    inside = (str(path) for file in files if os.path.isdir(file) for path in Path(file).rglob("*"))
    for file in (*files, *inside):
        about = os.stat(file) if os.path.exists(file) else None
        if about and not stat.S_ISDIR(about.st_mode) and about.st_mode & stat.S_IRGRP and about.st_gid:
            numbers.add(about.st_gid)
    return [str(number) for number in sorted(numbers)]


def _without_root(client: Client) -> bool:
    return client.engine == "podman" and (system.user() or (0, 0))[0] != 0
