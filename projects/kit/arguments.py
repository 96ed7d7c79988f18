"""The command line, and a project's parameters with their types and limits."""

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .ending import refuse

Value = bool | int | float | str


class ParameterError(ValueError):
    """A parameter that the project does not have, or a value that it does not allow."""


def parse(main: Path, description: str | None, words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line of the program `main`, whose `project.yaml` stands beside it.

    `words` defaults to `sys.argv[1:]`. Returns part, device, cards, seed, out and parameters. Exits with 2
    and one line on standard error if a word is wrong.
    """
    project = yaml.safe_load((main.parent / "project.yaml").read_text(encoding="utf-8"))
    parts = {str(name): part for name, part in project["parts"].items() if part.get("program") == main.name}
    if not parts:
        refuse(f"no part in {main.parent / 'project.yaml'} has `program: {main.name}`")
    declared = {name: _rules(part.get("parameters") or {}) for name, part in parts.items()}

    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_epilog(declared),
    )
    add = parser.add_argument
    add("--part", choices=list(parts), default=next(iter(parts)), help="default: %(default)s")
    add("--device", default="cpu", help="a name for paddle.set_device, default: %(default)s")
    add("--cards", type=int, default=1, help="several: by paddle.distributed.launch, default: %(default)s")
    add("--seed", type=int, default=0, help="for random, numpy and paddle, default: %(default)s")
    add("--out", type=Path, help="folder to write into, default: results/by-hand/PART")
    add("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="override parameters")
    given = parser.parse_args(words)
    if given.cards < 1:
        refuse(f"--cards {given.cards}: at least 1")
    if not 0 <= given.seed < 2**32:
        refuse(f"--seed {given.seed}: numpy takes 0 to 4294967295")
    try:
        given.parameters = resolve(declared[given.part], given.set)
    except ParameterError as error:
        refuse(f"part {given.part}: {error}")
    if given.out is None:
        given.out = Path("results", "by-hand", given.part)
        print(f"writing into {given.out}")
    return given


def resolve(declared: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Value]:
    """Defaults of the `declared` parameters with `overrides` such as "grid=51" over them, the last winning.

    A declaration is `{default, choices, at_least, at_most, help}` or the default alone; the default gives the
    type. Raises ParameterError for an unknown name and for a value of another type or outside what is
    declared.
    """
    rules = _rules(declared)
    values = {name: _check(name, str(rule["default"]), rule) for name, rule in rules.items()}
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals:
            raise ParameterError(f"--set {override}: write NAME=VALUE")
        if name not in rules:
            raise ParameterError(f"unknown parameter {name!r}; there is {', '.join(rules) or 'none'}")
        values[name] = _check(name, text, rules[name])
    return values


def _rules(declared: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: rule if isinstance(rule, dict) else {"default": rule} for name, rule in declared.items()}


def _check(name: str, text: str, rule: Mapping[str, Any]) -> Value:
    kind = type(rule["default"])
    try:
        value = {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        expected = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise ParameterError(f"{name}={text}: expected {expected}") from None
    if kind is float and not math.isfinite(value):
        raise ParameterError(f"{name}={text}: expected a finite number")
    if kind is str and re.fullmatch(r"[-+]?[\d.]+e[-+]?\d+", rule["default"], re.IGNORECASE):
        # YAML reads 1e-3 as text and 1.0e-3 as a number: a trap that would otherwise show up far from here.
        raise ParameterError(f"{name}: default {rule['default']!r} is text; write it with a point, as 1.0e-3")
    if "choices" in rule and value not in rule["choices"]:
        raise ParameterError(f"{name}={text}: choose from {', '.join(map(str, rule['choices']))}")
    if "at_least" in rule and value < rule["at_least"]:
        raise ParameterError(f"{name}={text}: at least {rule['at_least']}")
    if "at_most" in rule and value > rule["at_most"]:
        raise ParameterError(f"{name}={text}: at most {rule['at_most']}")
    return value


def _epilog(declared: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        f"  part {part}: {name}={rule['default']}  {rule.get('help', '')}"
        for part, rules in declared.items()
        for name, rule in rules.items()
    ]
    return "\n".join(["parameters for --set:", *lines]) if lines else "no parameters for --set"
