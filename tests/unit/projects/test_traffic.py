"""Task 8-2: the formula of what ranks send, and the bytes that are counted."""

import importlib
import os
import socket
import threading

import pytest


@pytest.fixture(scope="module")
def mesh():
    return importlib.import_module("hybrid.mesh")


@pytest.fixture(scope="module")
def traffic(load):
    return load("08-ffn/traffic.py")


def test_one_rank_sends_nothing(traffic, mesh):
    alone = mesh.Mesh(1, 1, 1)
    assert set(traffic.expected(traffic.messages(alone, 4, 64, 256, 512, 4), alone).values()) == {0}


@pytest.mark.parametrize(
    ("degrees", "numbers", "sent"),
    [
        ((2, 1, 1), {"blocks": 2, "tokens": 100, "micro_batches": 4}, {"pp": 2 * 100 * 8 * 4}),
        # Every weight twice, and a loss for each micro-batch.
        ((1, 2, 1), {"blocks": 1, "tokens": 100, "micro_batches": 1},
         {"dp": 2 * 4 * (8 * 32 * 2 + 32 + 3 * 8 + 1)}),
        ((1, 1, 2), {"blocks": 3, "tokens": 100, "micro_batches": 5}, {"mp": 3 * 2 * 2 * 100 * 8 * 4}),
    ],
)  # fmt: skip
def test_the_formula_for_cases_by_hand(traffic, mesh, degrees, numbers, sent):
    found = mesh.Mesh(*degrees)
    step = traffic.messages(found, hidden=8, inner=32, **numbers)
    assert traffic.expected(step, found) == {"pp": 0, "mp": 0, "dp": 0} | sent


def test_what_a_message_costs_besides_is_that_of_a_short_one(traffic, mesh):
    found, long = mesh.Mesh(2, 1, 1), traffic.Message("pp", 1000)
    assert traffic.short(long) == traffic.Message("pp", 64)
    alone = {traffic.short(long): 64 * 4 + 144}
    assert traffic.headers({long: 3}, alone, found) == {"pp": 3 * 144, "mp": 0, "dp": 0}


def test_nothing_stays_open_that_was_looked_at(traffic):
    before = len(os.listdir("/proc/self/fd"))
    traffic.received()
    assert len(os.listdir("/proc/self/fd")) == before


def test_bytes_are_counted_at_the_socket_they_came_in_by(traffic):
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    ends = (near.getsockname()[1], far.getsockname()[1])
    before = traffic.received()[ends]
    thread = threading.Thread(target=far.sendall, args=(bytes(12345),))
    thread.start()
    left = 12345
    while left:
        left -= len(near.recv(left))
    thread.join()
    assert traffic.received()[ends] - before == 12345
    near.close(), far.close()


def test_a_connection_belongs_to_the_axis_along_which_its_ranks_differ(traffic, mesh):
    counts = [{} for _ in range(8)]
    for port, (one, other, count) in enumerate([(0, 4, 1), (0, 2, 10), (0, 1, 100), (0, 7, 1000)], start=1):
        counts[one][port, 100 + port], counts[other][100 + port, port] = count, count
    counts[0][9, 9] = 7  # of the launcher: no rank has its other end
    assert traffic.by_axis(counts, mesh.Mesh(2, 2, 2)) == {"pp": 2, "dp": 20, "mp": 200}
