"""Bounds hold elsewhere too: each part, in short, under other kernels and threads than this machine would choose."""

import sys
from pathlib import Path

import pytest

from harness.catalogue import entries

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "bench"))

import bounds  # noqa: E402

PARTS = {name: part for name, part in entries.load().parts.items() if part.program}


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_a_part_keeps_its_bounds_under_other_kernels_and_threads(name: str) -> None:
    found = bounds.survey(PARTS[name], short=True)
    assert found and not bounds.failures({name: found})


@pytest.mark.parametrize("name", PARTS)
def test_every_part_lists_corners_that_it_takes(name: str) -> None:
    listed = bounds.corners(name)
    assert listed["short"] and "corners" in listed, f"bench/bounds/ lists no corners of part {name}"
    for short in (True, False):
        for run in bounds.runs(PARTS[name], short):
            bounds.request(PARTS[name], run)  # raises where a corner is no longer in range


def test_a_room_is_how_many_times_a_value_goes_into_its_bound() -> None:
    assert bounds.room_of(1e-6, None, 4e-6) == pytest.approx(4)
    assert bounds.room_of(0.9, 0.6, None) == pytest.approx(1.5)
    assert bounds.room_of(0, None, 1e-6) == float("inf")
    assert bounds.room_of(True, None, None) == float("inf")


def test_the_defaults_meet_all_surroundings_and_each_corner_has_a_seed_of_its_own() -> None:
    made = list(bounds.runs(PARTS["8-1"], short=False))
    assert {run.surroundings for run in made if not run.settings} == set(bounds.ALL)
    corners = [run.seed for run in made if run.settings]
    assert len(set(corners)) == len(corners)
