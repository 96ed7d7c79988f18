"""Task 8-3's memory plan: its numbers are those that are found by hand, and it says what fits."""

from dataclasses import replace

import pytest
import yaml
from folders import PROJECTS

CONFIG = yaml.safe_load((PROJECTS / "08-llama/llama-13b.yaml").read_text())


@pytest.fixture(scope="module")
def memory(load):
    return load("08-llama/memory_plan.py")


@pytest.fixture
def llama(memory):
    return memory.Llama(**CONFIG["model"])


@pytest.fixture
def small(memory):
    """A network, a run of 4 x 3 = 12 tokens, and one card."""
    return (
        memory.Llama(hidden=8, inner=16, layers=2, heads=2, vocabulary=32),
        memory.Run(4, 3, accumulation=8, master_gradients=False, flash_attention=True, sequence_parallel=False),
        memory.Setting(cards=1, dp=1, mp=1, pp=1, sharding=0, recompute=False),
    )


def test_llama_13b_has_its_thirteen_billion_weights(memory, llama):
    alone = memory.Setting(cards=1, dp=1, mp=1, pp=1, sharding=0, recompute=False)
    assert llama.weights(alone, 0) == 13_015_864_320


def test_stages_together_hold_the_whole_network(memory, llama):
    setting = memory.Setting(cards=4, dp=1, mp=1, pp=4, sharding=0, recompute=False)
    assert sum(llama.weights(setting, stage) for stage in range(4)) == 13_015_864_320


@pytest.mark.parametrize(
    ("sharding", "parameters", "gradients", "optimiser"),
    [(0, 2, 2, 12), (1, 2, 2, 6), (2, 2, 1, 6), (3, 1, 1, 6)],  # bytes of a number where two cards share
)
def test_states_of_a_card_by_sharding_stage(memory, llama, sharding, parameters, gradients, optimiser):
    # The first of two stages, half of each matrix: 20 layers of 158,607,360 and half the embedding, 81,920,000.
    # The last one has the head in place of the embedding, and a norm of 5,120 besides.
    run = replace(memory.Run(**CONFIG["run"]), master_gradients=False)
    setting = memory.Setting(cards=8, dp=2, mp=2, pp=2, sharding=sharding, recompute=False)
    held = memory.fullest(llama, run, setting)
    count = 3_254_067_200
    assert [llama.weights(setting, stage) for stage in (0, 1)] == [count, count + 5_120]
    assert (held.parameters, held.gradients, held.optimiser) == (
        count * parameters, count * gradients, count * optimiser,
    )  # fmt: skip


def test_gradients_in_float32_take_twice_the_room(memory, small):
    model, run, setting = small
    half = memory.fullest(model, run, setting).gradients
    assert memory.fullest(model, replace(run, master_gradients=True), setting).gradients == 2 * half


def test_in_float32_there_is_no_master_weight(memory, small):
    model, run, setting = small
    held = memory.fullest(model, replace(run, mixed=False), setting)
    count = model.weights(setting, 0)
    assert (held.parameters, held.gradients, held.optimiser) == (4 * count, 4 * count, 8 * count)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 12 * (2 * (32 + 32 + 48) + 8)),  # around norms, in attention, in the network behind; softmaxes' sums
        ({"flash_attention": False}, 12 * (2 * (32 + 32 + 48) + 16)),  # two heads' four probabilities for each token
        ({"mp": 2}, 12 * (2 * (32 + 16 + 24) + 4)),
        ({"mp": 2, "sequence_parallel": True}, 12 * (2 * (16 + 16 + 24) + 4)),
        # Written out in float32: six times the width and two sizes whole, 8 x 8 + 3 x 16 and two softmaxes of 4 sliced.
        ({"mp": 2, "fused": False, "mixed": False, "flash_attention": False}, 12 * 4 * (50 + (64 + 48 + 8) // 2)),
    ],
)
def test_what_a_layer_keeps(small, change, expected):
    model, run, setting = small
    run = replace(run, **{name: value for name, value in change.items() if name != "mp"})
    assert model.layer_activations(run, replace(setting, mp=change.get("mp", 1))) == expected


LAYER = 2784  # bytes that one keeps, the first of the cases above
WIDTH = 12 * 2 * 8  # of what goes from layer to layer
PASS = 12 * 2 * 3 * 16 + WIDTH  # gradients in the network of a layer, and the one that came
LOSS = WIDTH + 2 * 12 * 32 * 6  # the last norm; logits and their softmax, each with its gradient


def test_earlier_stages_keep_more_micro_batches_and_the_last_has_the_logits(memory, small):
    model, run, setting = small
    setting = replace(setting, cards=2, pp=2)
    found = [memory.of_stage(model, run, setting, stage).activations for stage in (0, 1)]
    assert found == [2 * (LAYER + WIDTH) + PASS, LAYER + LOSS]


def test_with_the_first_backward_pass_there_are_no_gradients(memory, small):
    """Where no more micro-batches follow, fewer are kept from then on: the worst is either of the two moments."""
    model, run, setting = small
    setting = replace(setting, cards=2, pp=2)
    held = memory.of_stage(model, replace(run, accumulation=2), setting, 0)
    assert held.activations == max(2 * (LAYER + WIDTH) + PASS - held.gradients, LAYER + WIDTH + PASS)


def test_recomputing_keeps_the_inputs_of_layers_and_one_layer(memory, small):
    model, run, setting = small
    setting = replace(setting, recompute=True, cards=2, pp=2)
    assert memory.of_stage(model, run, setting, 0).activations == 2 * 2 * WIDTH + LAYER + PASS


def test_sharding_3_gathers_the_weights_of_a_layer(memory, small):
    model, run, setting = small
    setting = replace(setting, cards=2, pp=2)
    found = [memory.of_stage(model, run, replace(setting, sharding=level), 0).activations for level in (0, 3)]
    assert found[1] - found[0] == 2 * (4 * 8 * 8 + 3 * 8 * 16)


def test_a_share_is_filled_up_to_the_same_length_on_every_card(memory, small):
    """Each weight for itself, as sharding.py does."""
    model, run, setting = small
    setting = replace(setting, cards=3, dp=3, sharding=1)
    of_one_layer = 4 * 22 + 3 * 43 + 2 * 3  # a third of 64, of 128 and of 8, each rounded up
    assert memory.of_stage(model, run, setting, 0).optimiser == 12 * (2 * of_one_layer + 2 * 86 + 3)


def test_more_sharding_never_needs_more(memory, llama):
    run = memory.Run(**CONFIG["run"])
    found = list(memory.settings(llama, 8))
    assert len(found) == len(set(found)) == 6 * 4 * 2 + 4 * 2  # six (mp, pp) with dp > 1, four that leave one
    for setting in found:
        if setting.sharding:
            less = replace(setting, sharding=setting.sharding - 1)
            assert memory.fullest(llama, run, setting).total < memory.fullest(llama, run, less).total


def test_the_plan_says_whether_it_fits_and_what_would(memory, capsys):
    assert memory.plan(["--memory-gb", "64"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["8", "1", "1", "0", "no", "24.2", "48.5", "145.5", "26.7", "244.9"]
    assert lines[3] == "does NOT fit into 64 GiB, of which 90% may be filled"
    table = [line.split() for line in lines[7:]]
    assert len(table) == 10
    assert all(float(row[-1]) <= 0.9 * 64 for row in table)
    fitting = dict(zip(("dp", "mp", "pp", "sharding"), table[0], strict=False))
    assert memory.plan(["--memory-gb", "64", "--set", *(f"{name}={value}" for name, value in fitting.items())]) == 0


def test_where_nothing_fits_the_least_is_shown(memory, capsys):
    assert memory.plan(["--memory-gb", "8"]) == 1
    assert "no setting fits; that which needs least" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["mp=3"], "are not 8 cards"),
        (["cards=3", "dp=1", "mp=3"], "mp=3 does not divide"),
        (["dp=1", "mp=-2", "pp=-4"], "are not 8 cards"),
        (["cards=16", "dp=1", "pp=16"], "pp=16 does not divide 40 layers"),
        (["sharding=4"], "0 to 3"),
        (["dp=true"], "not a value of dp"),
        (["stages=2"], "there is accumulation"),
    ],
)
def test_what_cannot_be_is_refused(memory, words, why):
    with pytest.raises(memory.PlanError, match=why):
        memory.plan(["--memory-gb", "64", "--set", *words])
