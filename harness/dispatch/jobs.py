"""What `./inv jobs` does: what was begun, here or elsewhere, and is not over, shown or followed to its end."""

import os
from pathlib import Path

from harness.dispatch.listed import batches, following
from harness.dispatch.registry import scheduler
from harness.dispatch.ssh import jobs as over_ssh
from harness.dispatch.ssh import underway
from harness.evidence import finishing, records
from harness.terminal import yellow


def show(results: Path, once: bool, cancel: bool) -> None:
    """Seal what was killed here, then show, follow or cancel the runs over ssh and the jobs of schedulers.

    Raises:
        HomeworkError: a cell failed, a scheduler does not answer, or a record did not come.
        Interrupted: Ctrl-C.
    """
    for place in records.adopt_unfinished(results, finishing.complete_here):
        print(yellow(f"Sealed a run that was killed: {os.path.relpath(place)}"))
    far = underway.listed(results)
    outcomes = over_ssh.show(results, once, cancel)
    if batches.listed(results) or not far:
        following.require_passed(following.show(results, once, cancel, scheduler), [])
    over_ssh.require_passed(outcomes)
