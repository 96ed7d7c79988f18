"""How a program ends where what it was given cannot be used: in words and with an exit code, without a traceback."""

import sys
from collections.abc import Callable
from typing import NoReturn


def refuse(what: str, why: str = "", remedy: str = "", *, exit_code: int = 2) -> NoReturn:
    """Say on standard error what is wrong, why and what to do, a line each, and end.

    Exit codes: 2 for what a person gave, 3 for missing hardware or tools, 1 for a program that failed.
    """
    print(f"error: {what}", *(line for line in (why, remedy) if line), sep="\n", file=sys.stderr)
    raise SystemExit(exit_code)


def main(run: Callable[[], None], *errors: type[Exception]) -> None:
    """Run a program's `main`; one of `errors` ends it in its own words, with its own `exit_code` or 2."""
    try:
        run()
    except errors as error:
        refuse(str(error), exit_code=getattr(error, "exit_code", 2))
