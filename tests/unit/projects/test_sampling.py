"""Which token is drawn: by a race that small differences do not decide, and what a request changes before it."""

import llm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from llm.sampling import Changes, Sampler, likeliest, log_probabilities

LOGITS = np.log([0.4, 0.3, 0.2, 0.1])


def test_tokens_come_as_often_as_they_are_probable():
    sampler = Sampler(1.0, seed=7)
    drawn = np.bincount([sampler.choose(LOGITS) for _ in range(4000)], minlength=4) / 4000
    np.testing.assert_allclose(drawn, [0.4, 0.3, 0.2, 0.1], atol=0.03)


def test_logits_that_differ_in_their_last_bits_draw_the_same_tokens():
    """Another order of bfloat16's sums moves a logit by some hundredths; an inverse distribution would draw others."""
    numbers = np.random.default_rng(0)
    rows = numbers.normal(size=(300, 2000)).astype("float32") * 2
    moved = rows + numbers.normal(size=rows.shape).astype("float32") * 1e-3
    one, two = Sampler(1.0, top_p=0.95, seed=3), Sampler(1.0, top_p=0.95, seed=3)
    same = [one.choose(row) == two.choose(other) for row, other in zip(rows, moved, strict=True)]
    assert np.mean(same) > 0.99


def test_what_is_drawn_depends_on_the_seed_and_the_place_alone():
    def drawn(seed):
        sampler = Sampler(1.0, seed=seed)
        return [sampler.choose(LOGITS) for _ in range(20)]

    assert drawn(5) == drawn(5) != drawn(6)
    assert drawn(-1) == drawn(2**128 - 1), "any whole number is a seed"


@pytest.mark.parametrize("temperature", [5e-324, 1e-308, 1e-30, 0.0])
def test_the_coldest_draw_takes_the_likeliest(temperature):
    assert Sampler(temperature, top_p=0.5, min_p=0.1).choose(LOGITS) == 0


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_an_error_of_their_own(wrong):
    for temperature in (0.0, 1.0):
        with pytest.raises(llm.SamplingError, match="not numbers"):
            Sampler(temperature).choose(np.array([0.0, wrong, 1.0]))


def test_min_p_keeps_what_has_a_part_of_the_likeliests_probability():
    np.testing.assert_allclose(Sampler(1.0, min_p=0.6).probabilities(LOGITS), [4 / 7, 3 / 7, 0, 0])


@given(
    logits=some.lists(some.floats(-30, 30, width=32), min_size=1, max_size=60),
    top_k=some.integers(0, 70),
    top_p=some.floats(0, 1),
)
def test_what_is_kept_is_what_a_whole_sorting_would_keep(logits, top_k, top_p):
    logits = np.array(logits)
    order = np.argsort(-(logits - logits.max()), kind="stable")[: top_k or None]
    likely = np.exp(logits[order] - logits.max())
    likely /= likely.sum()
    before = np.cumsum(likely) - likely
    kept = {*order[before < top_p], order[0]} if top_p < 1 else {*order}
    found = set(np.flatnonzero(Sampler(1.0, top_k, top_p).probabilities(logits)))
    assert found == kept or abs(before[len(found)] - top_p) < 1e-9, "but for the last bit of a sum"


def changed(logits, count=1, **changes):
    sampler = Sampler(changes=Changes(**changes))
    return [sampler.choose(np.array(logits)) for _ in range(count)]


def test_penalties_biases_and_bars_change_what_is_likeliest():
    assert changed([3.0, 2.5, 0.0], 3, presence=1.0) == [0, 1, 0]
    assert changed([3.0, 2.5, 0.0], 4, frequency=0.3) == [0, 0, 1, 0]
    assert changed([3.0, 2.5], 3, repetition=2.0) == [0, 1, 0]
    assert changed([-3.0, -2.5], 1, repetition=2.0, prompt=[1]) == [0]
    assert changed([3.0, 2.5], 1, bias={1: 1.0}) == [1]
    assert changed([3.0, 2.5], 3, barred=[0], barred_for=2) == [1, 1, 0]
    with pytest.raises(llm.SamplingError, match="no token"):
        changed([3.0, 2.5], 1, barred=[0, 1], barred_for=1)


@given(logits=some.lists(some.floats(-5, 5), min_size=1, max_size=40), count=some.integers(1, 50))
def test_the_likeliest_come_in_order_and_the_first_of_equals_first(logits, count):
    assert list(likeliest(np.array(logits), count)) == sorted(range(len(logits)), key=lambda n: -logits[n])[:count]


def test_log_probabilities_sum_to_one():
    assert np.exp(log_probabilities(np.array([1e4, 9e3, -1e4]))).sum() == pytest.approx(1)
