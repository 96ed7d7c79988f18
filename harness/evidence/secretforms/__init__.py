"""Secret forms: what keys, tokens and passwords look like, and what names them.

Those of services are detect-secrets's where it has them, and in lists.py where it has not: Chinese clouds,
models' services, webhooks, hashes. Those that only a name tells (`password=…`, `"api_key": "…"`, 密码：…) are ours.
Each is looked for only where one of its signs stands, and each repetition has a bound, so that no output makes it slow.
"""

from functools import cache

from harness.evidence.secretforms import addresses, commands, names, services, tables
from harness.evidence.secretforms.form import Secret


@cache
def forms() -> tuple[Secret, ...]:
    """Every form that is known."""
    of_services = (*services.PREFIXED, *tables.tokens(), *services.maintained())
    in_commands = (*commands.COMMANDS, *tables.commands())
    return (*of_services, *addresses.ADDRESSES, *names.NAMED, *in_commands, *names.PEOPLE)
