"""Task 8-2: mesh, schedules and the boundary's choice; and the program on real ranks."""

import importlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from folders import PROJECTS
from hypothesis import given
from hypothesis import strategies as st

from harness.catalogue import entries
from harness.catalogue.cells import settled
from harness.errors import UsageError
from harness.runs.judge import judge_metric

LAUNCHER = PROJECTS / "kit" / "launch.py"
PROGRAM = PROJECTS / "08-ffn" / "parallel.py"
PART = entries.load().parts["8-2"]
JUDGED = [name for name, metric in PART.metrics.items() if metric.bounded and not metric.when]
SHAPES = {
    "norm.weight": (64,), "norm.bias": (64,), "up.weight": (64, 256), "up.bias": (256,),
    "down.weight": (256, 64), "down.bias": (64,),
}  # fmt: skip
degrees = st.integers(1, 6)


@pytest.fixture(scope="module")
def mesh():
    return importlib.import_module("hybrid.mesh")


@pytest.fixture(scope="module")
def pieces(load):
    return load("08-ffn/pieces.py")


@pytest.fixture(scope="module")
def schedule():
    return importlib.import_module("hybrid.schedule")


class TestMesh:
    def test_two_by_two_by_two_is_as_drawn(self, mesh):
        table = [mesh.Mesh(2, 2, 2).coordinates(rank) for rank in range(8)]
        assert [at["pp"] for at in table] == [0, 0, 0, 0, 1, 1, 1, 1]
        assert [at["dp"] for at in table] == [0, 0, 1, 1, 0, 0, 1, 1]
        assert [at["mp"] for at in table] == [0, 1, 0, 1, 0, 1, 0, 1]

    @given(degrees, degrees, degrees)
    def test_every_rank_has_a_place_of_its_own_and_neighbours_differ_in_the_stage_alone(self, mesh, pp, dp, mp):
        found = mesh.Mesh(pp, dp, mp)
        places = {tuple(found.coordinates(rank).values()) for rank in range(found.size)}
        assert len(places) == found.size == pp * dp * mp
        for rank in range(found.size):
            for stage in range(pp):
                other = found.neighbour(rank, stage)
                same = stage == found.coordinates(rank)["pp"]
                assert other == rank if same else found.axis_between(rank, other) == "pp"

    def test_two_ranks_that_differ_in_two_ways_share_no_axis(self, mesh):
        assert mesh.Mesh(2, 2, 2).axis_between(0, 3) is None and mesh.Mesh(2, 2, 2).axis_between(0, 2) == "dp"

    @pytest.mark.parametrize(
        ("numbers", "says"),
        [
            ({"cards": 4}, "is 8 ranks, and there are 4"),
            ({"blocks": 3}, "3 blocks cannot be shared out to 2"),
            ({"inner": 5}, "5 numbers of the inner width cannot be shared out to 2"),
            ({"batch": 12}, "12 sequences cannot be shared out to 8"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, mesh, numbers, says):
        fitting = {"cards": 8, "blocks": 4, "inner": 256, "batch": 16, "micro_batches": 4}
        mesh.Mesh(2, 2, 2).check(**fitting)
        with pytest.raises(mesh.MeshError, match=says):
            mesh.Mesh(2, 2, 2).check(**{**fitting, **numbers})

    @pytest.mark.parametrize("mp", [1, 2, 4])
    def test_the_pieces_of_a_weight_are_the_weight(self, pieces, mp):
        numbers = np.random.default_rng(0)
        for name, shape in SHAPES.items():
            whole, cut = numbers.normal(size=shape), pieces.CUT_BY_MP[name]
            found = [pieces.piece(whole, name, mp, index) for index in range(mp)]
            assert {piece.shape for piece in found} == {pieces.local_shape(shape, name, mp)}
            joined = found[0] if cut is None else np.concatenate(found, axis=cut)
            assert np.array_equal(joined, whole)

    def test_the_two_large_weights_are_cut(self, pieces):
        assert pieces.local_shape((64, 256), "up.weight", 2) == (64, 128)
        assert pieces.local_shape((256, 64), "down.weight", 2) == (128, 64)

    def test_the_pieces_compute_what_the_whole_does(self, pieces):
        """Columns first, rows second: the sum over the slices is the output, with nothing sent between."""
        numbers = np.random.default_rng(0)
        x, up, down = (numbers.normal(size=shape) for shape in ((5, 64), (64, 256), (256, 64)))
        cut = [(pieces.piece(up, "up.weight", 4, i), pieces.piece(down, "down.weight", 4, i)) for i in range(4)]
        assert np.allclose(sum(np.maximum(x @ a, 0) @ b for a, b in cut), np.maximum(x @ up, 0) @ down)


names = st.sampled_from(["f-then-b", "1f1b"])
pipelines = st.tuples(names, st.integers(1, 8), st.integers(1, 12))


def orders_of(schedule, name, stages, micro_batches):
    return [schedule.SCHEDULES[name](stage, stages, micro_batches) for stage in range(stages)]


class TestSchedule:
    def test_the_orders_are_as_drawn(self, schedule):
        for name, stage, words in (
            ("f-then-b", 0, "F0 F1 F2 F3 B0 B1 B2 B3"),
            ("1f1b", 0, "F0 F1 B0 F2 B1 F3 B2 B3"),
            ("1f1b", 1, "F0 B0 F1 B1 F2 B2 F3 B3"),
        ):
            order = schedule.SCHEDULES[name](stage, 2, 4)
            assert " ".join(f"{work.kind}{work.micro_batch}" for work in order) == words

    @given(pipelines)
    def test_each_micro_batch_goes_forward_once_and_then_back_once(self, schedule, pipeline):
        name, stages, micro_batches = pipeline
        for stage, order in enumerate(orders_of(schedule, name, stages, micro_batches)):
            assert len(order) == len(set(order)) == 2 * micro_batches
            for number in range(micro_batches):
                forward, backward = (schedule.Work(stage, number, kind) for kind in "FB")
                assert order.index(forward) < order.index(backward)

    @given(pipelines)
    def test_what_is_kept_is_bounded_by_the_stages_with_1f1b_alone(self, schedule, pipeline):
        name, stages, micro_batches = pipeline
        for stage, order in enumerate(orders_of(schedule, name, stages, micro_batches)):
            bound = micro_batches if name == "f-then-b" else min(stages - stage, micro_batches)
            assert schedule.in_flight(order) == bound

    @given(pipelines, st.floats(0.1, 10), st.floats(0.1, 10))
    def test_the_bubble_is_that_of_the_formula(self, schedule, pipeline, forward, backward):
        name, stages, micro_batches = pipeline
        slots = schedule.timeline(orders_of(schedule, name, stages, micro_batches), forward, backward)
        assert len(slots) == 2 * stages * micro_batches
        if name == "f-then-b" or forward <= backward:  # with 1F1B a longer forward pass leaves gaps between
            assert schedule.bubble(slots) == pytest.approx(schedule.expected_bubble(stages, micro_batches), abs=1e-9)

    @given(pipelines)
    def test_no_stage_does_two_things_at_once_nor_anything_too_early(self, schedule, pipeline):
        name, stages, micro_batches = pipeline
        slots = schedule.timeline(orders_of(schedule, name, stages, micro_batches))
        at = {slot.work: slot for slot in slots}
        for stage in range(stages):
            own = sorted((slot for slot in slots if slot.work.stage == stage), key=lambda slot: slot.start)
            assert all(one.end <= other.start for one, other in itertools.pairwise(own))
        for (stage, number, kind), slot in at.items():
            source = stage - 1 if kind == "F" else stage + 1
            if 0 <= source < stages:
                assert at[schedule.Work(source, number, kind)].end <= slot.start

    def test_stages_that_wait_for_each_other_are_refused(self, schedule):
        first, second = schedule.one_f_one_b(0, 2, 2), schedule.one_f_one_b(1, 2, 2)
        with pytest.raises(ValueError, match="wait for each other"):
            schedule.timeline([first[::-1], second])

    @given(pipelines)
    def test_nobody_waits_for_ever_even_where_a_send_waits_for_its_receiver(self, schedule, pipeline):
        name, stages, micro_batches = pipeline
        waiting = [schedule.actions(order, stages) for order in orders_of(schedule, name, stages, micro_batches)]
        got = {"F": set(), "B": set()}
        while any(waiting):
            moved = False
            for stage, todo in enumerate(waiting):
                if not todo:
                    continue
                kind, number, peer = todo[0]
                if kind in "FB":
                    comes = stage > 0 if kind == "F" else stage < stages - 1
                    assert not comes or (stage, number) in got[kind], "computed before it was received"
                    todo.pop(0)
                    moved = True
                elif kind.startswith("send") and waiting[peer][:1] == [(f"receive {kind[-1]}", number, stage)]:
                    del todo[0], waiting[peer][0]
                    got[kind[-1]].add((peer, number))
                    moved = True
            assert moved, f"all wait: {[todo[:1] for todo in waiting]}"


@pytest.fixture(scope="module")
def boundary():
    return importlib.import_module("hybrid.boundary")


class TestBoundary:
    @pytest.mark.parametrize(
        ("device", "places", "kind"),
        [
            ("gpu:3", ["cpu", "gpu:0"], "reshard"),
            ("xpu:0", ["cpu", "xpu:0"], "reshard"),
            ("npu:1", ["cpu"], "transfer"),
            ("sim:1", ["cpu"], "transfer"),
            ("gpu:0", ["cpu"], "transfer"),
            ("cpu", ["cpu"], "transfer"),
        ],
    )
    def test_it_is_native_where_a_kernel_sends(self, boundary, device, places, kind):
        lines = [f"{{data_type[float]; place[Place({place})]; library_type[PLAIN]}}" for place in places]
        assert boundary.suitable(device, {"p_send": lines}) == kind
        assert boundary.suitable(device, {}) == "transfer"

    def test_this_paddle_lists_the_kernel_under_the_name_that_is_asked_for(self, boundary):
        import paddle

        kernels = paddle.base.core._get_all_register_op_kernels("phi")
        assert any("place[Place(cpu)]" in line for line in kernels["p_send"])
        assert boundary.suitable("cpu", kernels) == "transfer"

    def test_every_choice_of_the_project_file_is_a_boundary(self, boundary):
        assert PART.parameters["boundary"].choices == ("auto", *boundary.BOUNDARIES)


# The program, on real ranks


def train(out, pp, dp, mp, *settings):
    cards = str(pp * dp * mp)
    words = ["--part", "8-2", "--device", "cpu", "--cards", cards, "--seed", "0", "--out", str(out)]
    command = [sys.executable, str(LAUNCHER), str(PROGRAM), *words, "--set", f"pp={pp}", f"dp={dp}", f"mp={mp}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOG_minloglevel": "2"}
    command += ["steps=3", *settings]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("degrees", [(2, 2, 2), (4, 1, 1), (1, 2, 1)], ids=str)
def test_any_mesh_comes_to_the_gradients_and_losses_of_one_process(tmp_path, degrees):
    done = train(tmp_path, *degrees)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert verdicts(metrics) == dict.fromkeys(JUDGED, "passed")
    assert metrics["boundary"] == "send and receive"
    assert metrics["bubble_planned"] == pytest.approx(metrics["bubble_expected"])
    assert (metrics["kept_1f1b"], metrics["kept_f_then_b"]) == (min(degrees[0], 4), 4)
    assert (tmp_path / "mesh.png").stat().st_size > 5000 and (tmp_path / "timeline.png").stat().st_size > 5000
    with np.load(tmp_path / "trace.npz") as trace:
        assert {name: trace[name].dtype for name in trace.files} == {
            "loss": np.float32, "loss_alone": np.float32, "loss_exact": np.float64,
        }  # fmt: skip


def verdicts(metrics, **parameters):
    """Of each judged metric."""
    return {name: judge_metric(PART, name, parameters, metrics).verdict for name in JUDGED if name in metrics}


def failed(metrics):
    return {name for name, verdict in verdicts(metrics).items() if verdict == "failed"}


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    """The metrics of the program's own code with each fault, all from one start of four ranks."""
    out = tmp_path_factory.mktemp("faults")
    names = ["none", "sum for mean", "sum for mean by the API", "no all-reduce", "stale micro-batch", "swapped halves"]
    names += ["a thousandth off", "a thousandth off by the API", "whole weights", "gathered activations"]
    words = ["--cards", "4", "--out", str(out), "--faults", *names]
    words += ["--set", "pp=1", "steps=2", "hidden=32", "inner=64", "blocks=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOG_minloglevel": "2"}
    command = [sys.executable, str(LAUNCHER), str(Path(__file__).with_name("faulty_ranks.py")), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads((out / "found.json").read_text())


GRADIENTS = {f"gradient_error_{route}" for route in ("1f1b", "f_then_b", "explicit")}
LOSSES = {f"loss_error_{route}" for route in ("1f1b", "f_then_b", "explicit")}


@pytest.mark.slow
class TestFaults:
    def test_the_right_program_has_none(self, faults):
        assert failed(faults["none"]) == set()

    @pytest.mark.plants("8-2", "gradient_error_explicit", "gradient_error_1f1b", "gradient_error_f_then_b")
    def test_sum_for_mean_shows_in_the_gradients_alone(self, faults):
        """AdamW divides a factor out again: by the losses alone nobody would know."""
        assert failed(faults["sum for mean"]) == {"gradient_error_explicit"}
        assert failed(faults["sum for mean by the API"]) == GRADIENTS - {"gradient_error_explicit"}
        assert faults["sum for mean"]["gradient_error_explicit"] == pytest.approx(1)

    def test_one_weight_s_gradient_off_by_a_thousandth(self, faults):
        assert failed(faults["a thousandth off"]) == {"gradient_error_explicit"}
        assert failed(faults["a thousandth off by the API"]) == GRADIENTS - {"gradient_error_explicit"}

    def test_a_missing_all_reduce(self, faults):
        assert failed(faults["no all-reduce"]) == {"gradient_error_explicit", "loss_error_explicit"}

    @pytest.mark.plants("8-2", "loss_error_explicit", "loss_error_1f1b", "loss_error_f_then_b")
    @pytest.mark.parametrize("fault", ["stale micro-batch", "swapped halves"])
    def test_wrong_numbers_show_everywhere(self, faults, fault):
        assert failed(faults[fault]) == GRADIENTS | LOSSES

    @pytest.mark.plants("8-2", "pieces_right")
    def test_a_rank_that_holds_more_than_its_pieces(self, faults):
        assert "pieces_right" in failed(faults["whole weights"])

    @pytest.mark.plants("8-2", "traffic_error")
    def test_activations_that_every_rank_gathers(self, faults):
        assert failed(faults["gathered activations"]) == {"traffic_error"}


ERRORS = {"gradient_error_1f1b": 1e-3, "loss_error_1f1b": 1e-3}
METRICS = {**ERRORS, "gradient_rounding": 3e-7, "gradient_kinks": 0.0, "loss_rounding": 7e-7}


class TestJudgement:
    """Which losses are not judged, and which runs are refused before they start."""

    def test_losses_that_rounding_may_move_are_not_judged(self):
        found = verdicts(METRICS)
        assert found == dict.fromkeys(ERRORS, "failed")
        for setting in ({"activation": "relu"}, {"learning_rate": 0.1}):
            assert verdicts(METRICS, **setting) == found | {"loss_error_1f1b": "not judged"}

    @pytest.mark.parametrize(
        ("settings", "cards"),
        [
            (["pp=4"], 8),
            (["blocks=3"], 8),
            (["inner=5"], 8),
            (["batch=12"], 8),
            (["fleet=true", "pp=1", "dp=4"], 8),
            (["hidden=16384", "inner=65536"], 8),
            (["batch=4096", "length=8192"], 8),
            ([], 4),
        ],
        ids=str,
    )
    def test_what_does_not_fit_is_refused_before_a_run(self, settings, cards):
        settled(PART, None, [], 8)
        with pytest.raises(UsageError, match="8-2 cannot run"):
            settled(PART, None, settings, cards)

    def test_the_room_is_what_plain_float32_needs_and_a_kink_s(self):
        wide = {**METRICS, "gradient_rounding": 3e-4, "gradient_kinks": 0.0}
        kinked = {**METRICS, "gradient_kinks": 5e-4}
        assert {verdicts(each)["gradient_error_1f1b"] for each in (wide, kinked)} == {"passed"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "words"),
    [("batch=3", "3 sequences cannot be shared out to 8"), ("fleet=true", "fleet does not run on the CPU")],
)
def test_what_cannot_run_is_refused_in_one_line(tmp_path, setting, words):
    done = train(tmp_path, 1, 2, 1, setting)
    assert done.returncode == 2 and words in done.stdout
    assert "Traceback" not in done.stdout
