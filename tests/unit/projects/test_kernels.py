"""Task 10's kernels, each against numpy, for every instruction set that this CPU has."""

import mmap
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import paddle
import pytest

NUMBERS = np.random.default_rng(0)


@pytest.fixture(scope="module")
def native(load):
    return load("10-optimised-inference/native.py")


@pytest.fixture(scope="module")
def packing(load):
    return load("10-optimised-inference/packing.py")


@pytest.fixture(scope="module")
def formats(load):
    return load("10-optimised-inference/formats.py")


@pytest.fixture(scope="module", params=["portable", "avx2", "avx512"])
def kernels(native, request):
    if shutil.which(native.COMPILER) is None:
        pytest.skip(f"there is no {native.COMPILER}")
    native.Kernels()
    if not native.runs(request.param):
        pytest.skip(f"this CPU has no {request.param}")
    return native.Kernels(request.param)


def normal(*shape):
    return NUMBERS.normal(size=shape).astype("float32")


def rounded_activations(x):
    """What the integer kernels see of x: 8-bit numbers with a scale for 32."""
    groups = x.reshape(len(x), -1, 32)
    scale = np.abs(groups).max(2, keepdims=True) / 127
    return (np.rint(groups / scale) * scale).reshape(x.shape)


# Weights


@pytest.mark.parametrize(("kind", "error"), [("bfloat16", 2**-8), ("int8", 0.006), ("int4", 0.1), ("float8", 0.04)])
def test_rounding_errs_by_half_a_step(packing, kind, error):
    weight = normal(64, 96)
    found = packing.dequantise(packing.quantise(weight, kind), kind)
    assert np.linalg.norm(found - weight) / np.linalg.norm(weight) < error


def test_weights_of_four_bits_keep_their_values(packing):
    numbers = NUMBERS.integers(0, 16, (8, 2, 32))
    numbers[..., :2] = 0, 15  # as in nearly every group of a real model: both ends are used
    weight = (numbers * np.float32(0.0625) - np.float32(0.5)).reshape(8, 64).astype("float32")
    np.testing.assert_array_equal(packing.dequantise(packing.quantise(weight, "int4"), "int4"), weight)


def test_float8_rounds_to_the_nearest_of_all_its_values(packing):
    values = packing.FLOAT8[:127]
    assert (values[0], values[1], values[8], values[126]) == (0, 2**-9, 2**-6, 448)
    x = np.concatenate([values, -values, NUMBERS.uniform(-500, 500, 200), NUMBERS.normal(size=200) * 0.01])
    found = packing.FLOAT8[packing.to_float8(x.astype("float32"))]
    every = np.concatenate([values, -values])
    best = np.abs(x.astype("float32")[:, None] - every).min(1)
    np.testing.assert_allclose(np.abs(found - x.astype("float32")), best, atol=1e-7)


def test_a_group_of_zeros_stays_zeros(packing):
    for kind in ("int8", "int4", "float8"):
        assert not packing.dequantise(packing.quantise(np.zeros((16, 64), "float32"), kind), kind).any()


def test_large_memory_lies_in_pages_of_2_mb(load):
    """Where the system has any: Python's own shared memory would have none."""
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not setting.is_file() or "[never]" in setting.read_text():
        pytest.skip("this system has none")
    pages = load("10-optimised-inference/pages.py")
    memory = pages.large_memory(64 * pages.HUGE)
    assert not memory.any() and memory.ctypes.data % 64 == 0
    memory[:] = 1
    assert pages.huge_bytes(memory) > memory.nbytes / 2
    assert "in pages of 2 MB" in pages.page_kinds(memory) and "NOTE" not in pages.page_kinds(memory)


def test_shared_memory_has_no_large_pages_and_that_is_said(load):
    setting = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
    if not setting.is_file() or "[never]" not in setting.read_text():
        pytest.skip("here it may have some")
    pages = load("10-optimised-inference/pages.py")
    memory = np.frombuffer(mmap.mmap(-1, 16 * pages.HUGE), "uint8")
    assert "NOTE: 0% in pages of 2 MB" in pages.page_kinds(memory)


# Products


@pytest.mark.parametrize("tokens", [1, 2, 3, 8, 11, 101])
@pytest.mark.parametrize("kind", ["float32", "bfloat16", "int8", "int4", "float8"])
def test_a_product_is_numpys(kernels, packing, formats, kind, tokens):
    weight, x = normal(3 * kernels.rows, 160), normal(tokens, 160)
    quantised = packing.quantise(weight, kind)
    packed = paddle.to_tensor(packing.pack(quantised, kind, kernels.rows))
    found = kernels("linear", paddle.to_tensor(x), packed, len(weight), formats.KINDS[kind]).numpy()
    if kind in ("int8", "int4"):
        x = rounded_activations(x)
    if kind == "bfloat16" and kernels.isa == "avx512":
        x = packing.dequantise(packing.quantise(x, "bfloat16"), "bfloat16")
    expected = x.astype("float64") @ packing.dequantise(quantised, kind).astype("float64").T
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-4)


def test_the_largest_numbers_do_not_overflow(kernels, packing, formats):
    weight, x = np.full((kernels.rows, 64), 1.0, "float32"), np.full((2, 64), -1.0, "float32")
    weight[:, ::2] = -1
    x[:, ::2] = 1
    for kind in ("int8", "int4"):
        packed = paddle.to_tensor(packing.pack(packing.quantise(weight, kind), kind, kernels.rows))
        found = kernels("linear", paddle.to_tensor(x), packed, kernels.rows, formats.KINDS[kind]).numpy()
        # A scale of 4 bits has 4 bits of fraction.
        np.testing.assert_allclose(found, -64, rtol={"int8": 1e-3, "int4": 2**-5}[kind])


def test_rows_that_fill_no_panel_are_refused(packing):
    with pytest.raises(ValueError, match="do not fill"):
        packing.pack(packing.quantise(normal(17, 32), "int8"), "int8", 16)
    with pytest.raises(ValueError, match="whole groups"):
        packing.quantise(normal(16, 33), "int4")


# Four bits


def decoded(packed, rows, inputs, panel):
    """The weights in panels of int4, byte by byte as packing.py and four_bits.py describe them."""
    found = np.zeros((rows, inputs))
    at = iter(packed.reshape(rows // panel, inputs // 32, -1).tolist())
    for first, groups in zip(range(0, rows, panel), at, strict=True):
        for group, data in enumerate(groups):
            for row in range(panel):
                head = data[2 * row] + 256 * data[2 * row + 1]
                exponent, fraction, zero = head >> 11, head >> 7 & 15, head & 127
                for i in range(32):
                    byte = data[2 * panel + i // 8 * 4 * panel + 4 * row + i % 4]
                    q = byte >> 4 if i % 8 >= 4 else byte & 15
                    found[first + row, 32 * group + i] = 2.0 ** (exponent - 20) * (1 + fraction / 16) * (q - zero / 8)
    return found


@pytest.mark.parametrize("panel", [16, 32])
@pytest.mark.parametrize("size", [1e-6, 0.02, 3000.0])
def test_four_bits_lie_as_they_are_described(packing, panel, size):
    weight = size * normal(2 * panel, 96)
    quantised = packing.quantise(weight, "int4")
    packed = packing.pack(quantised, "int4", panel)
    assert 8 * packed.size == 4.5 * weight.size == 8 * packing.packed_size("int4", *weight.shape)
    np.testing.assert_array_equal(decoded(packed, *weight.shape, panel), packing.dequantise(quantised, "int4"))


def test_a_line_that_16_bits_hold_is_at_most_half_a_step_off(load):
    four_bits = load("10-optimised-inference/four_bits.py")
    scale = np.exp2(NUMBERS.uniform(-20, 11.9, 1000)).astype("float32")
    least = (-15 * NUMBERS.uniform(size=1000)).astype("float32") * scale
    near, zero = four_bits.representable(scale, np.float32(0), least)
    assert np.abs(near / scale - 1).max() <= 2**-5  # four bits of fraction
    assert np.abs(zero + least / near).max() <= 1 / 16 + 1e-5  # eighths, rounded
    again = four_bits.read(four_bits.written(near, zero))
    np.testing.assert_array_equal(again, (near, zero))


@pytest.mark.parametrize("shift", [0.0, 5.0, -5.0])
def test_every_weight_of_four_bits_is_near_its_own(packing, shift):
    """The first line errs by half a step and, where rounding made its steps shorter, by what lies beyond the last."""
    weight = normal(64, 96) + np.float32(shift)  # also without 0 among the weights of a group
    found = packing.dequantise(packing.quantise(weight, "int4"), "int4")
    groups, off = weight.reshape(64, 3, 32), (found - weight).reshape(64, 3, 32)
    step = (groups.max(2).clip(min=0) - groups.min(2).clip(max=0)) / 15 * (1 + 2**-5)
    beyond = step * (15 * 2**-5 + 1 / 16)
    assert (np.sqrt(np.square(off).mean(2)) <= step / 2 + beyond).all()


def test_what_is_important_is_rounded_better_and_the_whole_errs_less(packing):
    weight, importance = normal(64, 96), np.exp(2 * NUMBERS.normal(size=96))

    def error(found, counting):
        return (counting * np.square(packing.dequantise(found, "int4") - weight)).sum()

    with_it, without = packing.quantise(weight, "int4", importance), packing.quantise(weight, "int4")
    assert error(with_it, importance) < 0.8 * error(without, importance)
    assert error(without, 1) < error(with_it, 1)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e6])
def test_what_four_bits_do_not_span_is_refused(packing, wrong):
    weight = normal(8, 64)
    weight[3, 40] = wrong
    with pytest.raises(ValueError, match="take --weights bfloat16"):
        packing.quantise(weight, "int4")


# Between the products


def test_rms_norm(kernels):
    x, weight = normal(3, 64), normal(64)
    expected = x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-5) * weight
    found = kernels("rms_norm", paddle.to_tensor(x), paddle.to_tensor(weight), 1e-5)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_rotation(kernels):
    x, angle = normal(4, 64), normal(32)
    turned = (x[:, :32] + 1j * x[:, 32:]) * np.exp(1j * angle)
    found = kernels("rotate", *map(paddle.to_tensor, (x, np.cos(angle), np.sin(angle))))
    np.testing.assert_allclose(found.numpy(), np.concatenate([turned.real, turned.imag], 1), rtol=1e-4, atol=1e-5)


def test_swiglu(kernels):
    gate = np.concatenate([normal(48), np.array([-200, -90, -30, -1e-3, 0, 1e-3, 30, 200] * 2)]).astype("float32")
    up = normal(64)
    expected = gate / (1 + np.exp(-gate.astype("float64"))) * up
    found = kernels("gated", paddle.to_tensor(gate), paddle.to_tensor(up), 0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("number", "approximate"), [(1, True), (2, False)])
def test_geglu(kernels, number, approximate):
    gate = np.concatenate([normal(56), np.array([-200, -9, -1e-3, 0, 1e-3, 9, 200, -5])]).astype("float32")
    up = normal(64)
    expected = paddle.nn.functional.gelu(paddle.to_tensor(gate.astype("float64")), approximate).numpy() * up
    found = kernels("gated", paddle.to_tensor(gate), paddle.to_tensor(up), number)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(shutil.which("objdump") is None, reason="there is no objdump")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors ask by other instructions")
def test_the_compiler_keeps_what_asks_for_memory(native, kernels):
    """GCC takes a call of a function away that does nothing else."""
    code = subprocess.run(["objdump", "-dC", str(native.build())], capture_output=True, text=True, check=True).stdout
    for name in ("Vectorised", "Attention"):
        own = [part for part in code.split("\n\n") if f"llm::{name}<llm::" in part and kernels.isa.title() in part]
        assert any("prefetch" in part for part in own), name


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "int8", "int4", "float8"])
def test_a_product_is_the_same_to_the_last_bit_alone_and_among_others(kernels, packing, formats, kind):
    weight, x = normal(2 * kernels.rows, 160), normal(13, 160)
    packed = paddle.to_tensor(packing.pack(packing.quantise(weight, kind), kind, kernels.rows))

    def product(rows):
        return kernels("linear", paddle.to_tensor(rows), packed, len(weight), formats.KINDS[kind]).numpy()

    alone = np.concatenate([product(x[row : row + 1]) for row in range(len(x))])
    for count in (2, 3, 4, 7, 8, 13):
        np.testing.assert_array_equal(product(x[:count]), alone[:count])


def test_compression_to_8_bits(kernels):
    x = np.concatenate([normal(3, 64), np.zeros((1, 64), "float32")])
    numbers, scales = kernels("compress", paddle.to_tensor(x))
    restored = numbers.numpy() * scales.numpy()[:, None]
    np.testing.assert_allclose(restored, x, atol=np.abs(x).max() / 127 * 0.51)


def test_halves(kernels):
    extremes = [0, -0.0, 1, 2049, 2051, 65504, 65519, 65520, 1e9, -1e9, 6e-5, 5.96e-8, 2.9e-8, 3.1e-8, 1e-20, np.inf]
    x = np.concatenate([normal(64), 1e-6 * normal(48), np.array(extremes, "float32")])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(kernels("halve", paddle.to_tensor(x)).numpy(), x.astype("float16"))


@pytest.mark.parametrize("width", [32, 64, 96])
@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
@pytest.mark.parametrize(("length", "unseen", "cap"), [(1, 0, 0), (15, 3, 0), (16, 0, 2.0), (37, 9, 2.0)])
def test_attention_over_scattered_blocks(kernels, length, kind, width, unseen, cap):
    blocks, heads, block, group, head = 6, 2, 16, 5, 1
    table = np.array([4, 1, 5], "int32")
    query, keys, values = normal(group, width), normal(blocks, heads, block, width), normal(blocks, heads, block, width)
    scales = np.abs(NUMBERS.normal(size=(2, blocks, heads, block))).astype("float32") * 0.02
    keys, values = ((x * 30 if kind == "int8" else x).clip(-127, 127).astype(kind) for x in (keys, values))
    real = (keys * scales[0][..., None], values * scales[1][..., None]) if kind == "int8" else (keys, values)
    k, v = (x[table, head].reshape(-1, width)[:length].astype("float64") for x in real)
    scores = query @ k.T * 0.1
    scores = np.tanh(scores / cap) * cap if cap else scores
    scores[:, :unseen] = -np.inf
    shares = np.exp(scores - scores.max(1, keepdims=True))
    expected = shares / shares.sum(1, keepdims=True) @ v
    keys = np.ascontiguousarray(keys.transpose(0, 1, 3, 2))
    found = kernels("attend", *map(paddle.to_tensor, (query, keys, values, scales[0], scales[1], table)), head, length,
                    unseen, 0.1, cap)  # fmt: skip
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


# Without kernels


def test_no_compiler_is_said_and_not_hidden(native, monkeypatch):
    monkeypatch.setattr(native, "COMPILER", "no-such-compiler")
    with pytest.raises(native.NoKernels, match="no C\\+\\+ compiler no-such-compiler"):
        native.build()


def test_what_the_compiler_refuses_is_quoted(native, monkeypatch, tmp_path):
    (tmp_path / "broken.cc").write_text("int broken( {\n")
    monkeypatch.setattr(native, "SOURCES", [tmp_path / "broken.cc"])
    monkeypatch.setattr(native, "CACHE", tmp_path)
    with pytest.raises(native.NoKernels, match=r"the compiler refuses: .*error"):
        native.build()
