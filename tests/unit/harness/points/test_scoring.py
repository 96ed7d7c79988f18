"""Points: each rule gives what its sentence says, never over its limit, in whatever order the runs come."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples import a_kind, a_part, a_result, a_rule

from harness.evidence.verdicts import FAILED
from harness.points.scoring import EARNED, NOT_RUN, REHEARSED, WAITING, assess, tally

KINDS = {
    kind.name: kind
    for kind in (
        a_kind("cpu", "cpu"), a_kind("cuda", "gpu"), a_kind("npu", "accelerator"), a_kind("sim", "simulated"),
    )
}  # fmt: skip


def cells_of(rules, results, evidence=()):
    rules = rules if isinstance(rules, tuple) else (rules,)
    return assess(a_part(rules=rules), KINDS, results, evidence)


def earned(rules, results, evidence=()):
    return sum(cell.points for cell in cells_of(rules, results, evidence))


def states(rules, results, evidence=()):
    return [cell.state for cell in cells_of(rules, results, evidence)][: len(results)]


def sums(rules, results, evidence=()):
    rules = rules if isinstance(rules, tuple) else (rules,)
    part = a_part(rules=rules)
    return tally({part.name: part}, assess(part, KINDS, results, evidence))


# The rules, one by one


def test_once_gives_its_value_once_however_many_runs_pass():
    rule = a_rule("once", 3)
    assert earned(rule, [a_result()]) == 3
    cells = cells_of(rule, [a_result(model="A"), a_result(model="B"), a_result("4", "cuda", "C")])
    assert [cell.points for cell in cells[:3]] == [3, 0, 0]
    assert cells[1].why == "the part is counted already, once"


def test_per_model_gives_for_each_distinct_model_up_to_its_limit():
    rule = a_rule("per_model", 1, 5)
    assert earned(rule, [a_result(model=model) for model in "AABBC"]) == 3
    cells = cells_of(rule, [a_result(model=model) for model in "ABCDEFG"])
    assert [cell.points for cell in cells[:7]] == [1, 1, 1, 1, 1, 0, 0]
    assert cells[6].why == "the limit of 5 is reached"


def test_the_last_value_is_cut_where_the_limit_is():
    cells = cells_of(a_rule("per_model", 3, 5), [a_result(model=model) for model in "ABC"])
    assert [cell.points for cell in cells[:3]] == [3, 2, 0]


def test_one_model_counts_once_even_as_two_kinds():
    rule = a_rule("per_model", 1, 5)
    cells = cells_of(rule, [a_result(hardware="cuda", model="A"), a_result(hardware="npu", model="A")])
    assert [cell.points for cell in cells[:2]] == [1, 0]
    assert cells[1].why == "the model A is counted already, once"


def test_per_architecture_counts_only_the_named_ones_each_once():
    rule = a_rule("per_architecture", 3, 9, architectures=("Ampere", "Ada", "Hopper"))
    results = [
        a_result(hardware="cuda", model="H100", architecture="Hopper"),
        a_result(hardware="cuda", model="H200", architecture="Hopper"),
        a_result(hardware="cuda", model="A100", architecture="Ampere"),
        a_result(hardware="cuda", model="V100", architecture="Volta"),
        a_result(hardware="cpu", model="EPYC"),
    ]
    cells = cells_of(rule, results)
    assert [cell.points for cell in cells[:5]] == [3, 0, 3, 0, 0]
    assert [cell.state for cell in cells[:5]] == [EARNED, EARNED, EARNED, REHEARSED, REHEARSED]
    assert cells[1].why == "the architecture Hopper is counted already, once"
    assert cells[3].why == "it counts on Ampere, Ada, Hopper"


def test_per_day_gives_for_each_distinct_day_up_to_its_limit():
    rule = a_rule("per_day", 1, 5, needs=("track or photo",))
    days = [a_result(day=f"2026-11-{day:02}") for day in (1, 1, 2, 3, 4, 5, 6)]
    assert earned(rule, days, {"photo"}) == 5 and earned(rule, days[:3], {"track"}) == 2
    assert earned(rule, days) == 0


def test_judged_counts_its_lower_end_and_shows_its_upper():
    rule = a_rule("judged", 2, 8, needs=("link",))
    assert earned(rule, [a_result()], {"link"}) == 2
    counts = sums(rule, [a_result()], {"link"})
    assert (counts.earned, counts.earned_upper, counts.limit) == (2, 8, 8)


def test_a_bonus_comes_on_top_when_its_own_needs_are_met():
    rules = (a_rule("once", 5), a_rule("bonus", 5, needs=("pull request",)))
    assert earned(rules, [a_result()], {"pull request"}) == 10
    cells = cells_of(rules, [a_result()])
    assert cells[0].points == 5
    assert cells[0].why == "the bonus of 5 is open: passed; still to be added: pull request"
    assert cells[0].limit == 10
    counts = sums(rules, [a_result()], {"pull request"})
    assert (counts.earned, counts.limit, counts.bonus) == (10, 5, 5)


def test_a_bonus_on_an_unearned_part_gives_nothing():
    rules = (a_rule("once", 5, needs=("link",)), a_rule("bonus", 5, needs=("pull request",)))
    assert earned(rules, [a_result()], {"pull request"}) == 0
    assert earned(rules, [a_result(verdict="failed")], {"pull request", "link"}) == 0


# States


def test_a_failed_run_says_why():
    (cell, *_) = cells_of(a_rule(), [a_result(verdict="failed", why="error: too large")])
    assert (cell.state, cell.points, cell.why) == (FAILED, 0, "error: too large")


@pytest.mark.parametrize(
    ("categories", "why"),
    [
        (("gpu",), "it counts on an NVIDIA GPU"),
        (("accelerator",), "it counts on a non-NVIDIA accelerator"),
        (("gpu", "accelerator"), "it counts on an NVIDIA GPU or a non-NVIDIA accelerator"),
    ],
)
def test_a_run_elsewhere_is_a_rehearsal(categories, why):
    (cell, *_) = cells_of(a_rule(categories=categories), [a_result()])
    assert (cell.state, cell.points, cell.why) == (REHEARSED, 0, why)


def test_too_few_cards_are_a_rehearsal():
    rule = a_rule(categories=("gpu",), cards=8)
    assert states(rule, [a_result(hardware="cuda", cards=1), a_result(hardware="cuda", cards=8)]) == [REHEARSED, EARNED]
    assert cells_of(rule, [a_result(hardware="cuda", cards=2)])[0].why == "it counts on 8 cards, this ran on 2"


def test_processes_on_a_cpu_are_no_cards():
    (cell, *_) = cells_of(a_rule(cards=8), [a_result(hardware="cpu", cards=8)])
    assert (cell.state, cell.why) == (REHEARSED, "it counts on 8 cards, these were processes on one CPU")


def test_all_needs_must_be_met_and_any_alternative_meets_one():
    rule = a_rule(needs=("link", "track or photo"))
    assert states(rule, [a_result()], {"link"}) == [WAITING]
    assert states(rule, [a_result()], {"photo"}) == [WAITING]
    assert states(rule, [a_result()], {"link", "photo"}) == [EARNED]
    assert cells_of(rule, [a_result()], {"link"})[0].why == "passed; still to be added: track or photo"


def test_hardware_that_cannot_earn_does_not_wait_for_evidence():
    assert states(a_rule(needs=("link",)), [a_result(hardware="sim")]) == [REHEARSED]


def test_each_kind_without_a_run_is_a_cell_of_its_own():
    cells = cells_of(a_rule(), [a_result()])
    assert [(cell.hardware, cell.state, cell.why) for cell in cells[1:]] == [
        (kind, NOT_RUN, "no run yet") for kind in ("cuda", "npu", "sim")
    ]
    unwritten = assess(a_part(program=None), KINDS, [])
    assert {cell.why for cell in unwritten} == {"its program is not written yet"} and len(unwritten) == 4


# Any rules, any runs

EVIDENCE = ("link", "photo", "pull request")
needs = st.lists(st.sampled_from([*EVIDENCE, "link or photo"]), max_size=2, unique=True).map(tuple)
hardware = st.fixed_dictionaries(
    {
        "needs": needs,
        "categories": st.sampled_from([(), ("gpu",), ("gpu", "accelerator"), ("cpu",)]),
        "architectures": st.sampled_from([(), ("Hopper",), ("Ampere", "Ada", "Hopper")]),
        "cards": st.sampled_from([1, 8]),
    }
)


@st.composite
def plain_rules(draw):
    name = draw(st.sampled_from(["once", "per_model", "per_architecture", "per_day", "judged"]))
    value = draw(st.integers(1, 5))
    limit = value if name == "once" else draw(st.integers(value, 12))
    return a_rule(name, value, limit, **draw(hardware))


@st.composite
def all_results(draw):
    return a_result(
        hardware=draw(st.sampled_from(sorted(KINDS))),
        model=draw(st.sampled_from("ABC")),
        architecture=draw(st.sampled_from([None, "Ampere", "Hopper", "Volta"])),
        cards=draw(st.sampled_from([1, 8])),
        day=draw(st.sampled_from(["2026-11-01", "2026-11-02"])),
        verdict=draw(st.sampled_from(["passed", "failed", "not judged"])),
        why="it failed",
    )


bonuses = st.builds(lambda value, fields: a_rule("bonus", value, **fields), st.integers(1, 5), hardware)
evidences = st.sets(st.sampled_from(EVIDENCE))


@given(rule=plain_rules(), results=st.lists(all_results(), max_size=8), evidence=evidences, data=st.data())
def test_any_runs_in_any_order_give_the_same_points_within_the_limit(rule, results, evidence, data):
    counts = sums(rule, results, evidence)
    assert 0 <= counts.earned <= rule.limit
    assert counts.earned <= counts.earned_upper <= counts.limit
    assert counts.earned + counts.waiting + counts.rehearsed <= counts.limit
    assert min(counts.waiting, counts.rehearsed) >= 0
    assert sums(rule, data.draw(st.permutations(results)), evidence) == counts
    for cell in cells_of(rule, results, evidence):
        assert cell.hardware != "sim" or (cell.points == 0 and cell.state != EARNED)
        assert cell.points == 0 or cell.state == EARNED
        assert cell.state == EARNED or cell.why, "what does not count says why"


@given(rule=plain_rules(), results=st.lists(all_results(), max_size=6), evidence=evidences, more=all_results())
def test_one_more_run_or_all_evidence_never_takes_points_away(rule, results, evidence, more):
    counted = earned(rule, results, evidence)
    assert earned(rule, [*results, more], evidence) >= counted
    assert earned(rule, results, EVIDENCE) >= counted


RUNS = [a_result(hardware="cuda", model="A"), a_result(hardware="cpu", model="B")]


@given(rule=plain_rules(), bonus=bonuses, results=st.lists(all_results(), max_size=5))
@example(rule=a_rule("once", 3), bonus=a_rule("bonus", 5, categories=("gpu",)), results=RUNS)
def test_with_a_bonus_too_the_order_of_the_runs_does_not_matter(rule, bonus, results):
    """Otherwise only the first earning run is asked for it, so a later, fitting one gains nothing."""
    assert earned((rule, bonus), results[::-1], EVIDENCE) == earned((rule, bonus), results, EVIDENCE)


@given(rule=plain_rules(), bonus=bonuses, results=st.lists(all_results(), max_size=8), evidence=evidences)
@example(rule=a_rule("per_model", 1, 1), bonus=a_rule("bonus", 5), results=RUNS, evidence=set())
@example(rule=a_rule("judged", 2, 8), bonus=a_rule("bonus", 9), results=RUNS, evidence=set())
def test_with_a_bonus_too_every_sum_is_within_its_bounds(rule, bonus, results, evidence):
    """Otherwise it lessens what is left of the plain rule (waiting below 0), and judged drops it."""
    counts = sums((rule, bonus), results, evidence)
    assert 0 <= counts.earned <= counts.earned_upper <= counts.limit + counts.bonus
    assert counts.waiting >= 0 and counts.rehearsed >= 0


# The tally


def test_waiting_and_rehearsed_points_are_those_that_are_not_earned_already():
    rule = a_rule("once", 3, categories=("gpu",), needs=("link",))
    runs = [a_result(), a_result(hardware="cuda", model="B")]
    assert (sums(rule, runs[:1]).rehearsed, sums(rule, runs[:1]).waiting) == (3, 0)
    assert (sums(rule, runs).rehearsed, sums(rule, runs).waiting) == (0, 3)
    counts = sums(rule, runs, {"link"})
    assert (counts.earned, counts.rehearsed, counts.waiting) == (3, 0, 0)


def test_models_that_wait_or_rehearse_count_each_once_up_to_the_limit():
    rule = a_rule("per_model", 1, 3, needs=("photo",))
    runs = [a_result(model=model) for model in "AABCDE"]
    assert sums(rule, runs[:3]).waiting == 2 and sums(rule, runs).waiting == 3


def test_days_that_wait_count_each_once():
    """Otherwise the tally counts models, so three days on one machine wait for one point."""
    rule = a_rule("per_day", 1, 5, needs=("track or photo",))
    assert sums(rule, [a_result(day=f"2026-11-0{day}") for day in (1, 2, 3)]).waiting == 3


def test_two_models_of_one_architecture_wait_for_one_value():
    """Otherwise the tally counts models there too, and promises 6 points in place of 3."""
    rule = a_rule("per_architecture", 3, 9, architectures=("Hopper",), needs=("link",))
    runs = [a_result(hardware="cuda", model=model, architecture="Hopper") for model in ("H100", "H200")]
    assert sums(rule, runs).waiting == 3


def test_a_run_that_is_not_judged_earns_nothing_anywhere():
    result = a_result(hardware="npu", verdict="not judged", why="a bound is left out")
    rules = (a_rule("per_model", 1, 5), a_rule("bonus", 5))
    cell = next(cell for cell in cells_of(rules, [result]) if cell.run)
    assert (cell.state, cell.points, cell.why) == ("not judged", 0, "a bound is left out")
    sums = tally({"4": a_part(rules=rules)}, cells_of(rules, [result]))
    assert (sums.earned, sums.waiting, sums.rehearsed) == (0, 0, 0)
