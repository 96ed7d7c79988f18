"""What the tests of the judge share: a run that is judged by the files that it left."""

import json

import pytest
from samples import FINISHED, GOOD_DEVICE, a_kind, a_part

from harness.runs.judge import judge, read_measurements


@pytest.fixture
def verdict(tmp_path):
    """Judge a run that left these files (objects, or text as it stands; None: no file)."""

    def of(metrics={"error": 0.01}, device=GOOD_DEVICE, part=a_part(), kind=a_kind(), ending=FINISHED, **parameters):  # noqa: B006, B008
        for name, content in (("metrics.json", metrics), ("device.json", device)):
            path = tmp_path / name
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_text(content if isinstance(content, str) else json.dumps(content))
        return judge(part, kind, parameters, ending, read_measurements(tmp_path))

    return of
