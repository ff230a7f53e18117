"""Native kernels against their NumPy definitions, byte for byte, at every level that this processor has."""

import itertools
import logging
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circa.protocols import kernels
from circa.protocols.garbling import halfgates
from circa.protocols.garbling.arithmetic import add_with_carry, greater, select
from circa.protocols.garbling.circuit import Builder, Circuit, Op
from circa.protocols.hash import tccr, tccr_numpy, tccr_pair, tccr_pair_numpy
from circa.protocols.ot.expand import expand, expand_numpy
from circa.protocols.ot.transpose import columns, columns_numpy
from circa.protocols.packing import pack, pack_numpy, packed_size, unpack, unpack_numpy
from circa.protocols.prg import Prg
from circa.protocols.relu.garbled import words, words_numpy

NATIVE = kernels.native()
SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 1000, 2047, 2048, 2049, 4133]

native_only = pytest.mark.skipif(not NATIVE, reason="no native kernels on this machine")


@pytest.fixture
def numpy_only(monkeypatch):
    """A context in which `kernels.native()` finds nothing."""
    return lambda: monkeypatch.setattr(kernels, "native", lambda: None)


@pytest.fixture
def prg():
    return Prg(b"kernel test seed")


def delta_of(prg: Prg) -> np.ndarray:
    return prg.blocks(1)[0] | np.array([1, 0], np.uint64)


@pytest.mark.parametrize("n", SIZES)
def test_hash(level, prg, n):
    x, delta = prg.blocks(n), delta_of(prg)
    for tweak in (0, (1 << 63) + 5, (1 << 64) - max(n, 1)):
        assert np.array_equal(tccr(x, tweak), tccr_numpy(x, tweak))
        pair = zip(tccr_pair(x, delta, tweak), tccr_pair_numpy(x, delta, tweak), strict=True)
        assert all(np.array_equal(ours, expected) for ours, expected in pair)


def test_hash_of_rows_that_are_not_contiguous(level, prg):
    x = prg.blocks(100)
    assert np.array_equal(tccr(x[::3], 7), tccr_numpy(x[::3], 7))
    assert np.array_equal(tccr(x[:, ::-1], 7), tccr_numpy(x[:, ::-1], 7))


@pytest.mark.parametrize("blocks", [0, 1, 15, 16, 17, 64, 100])
@pytest.mark.parametrize("rows", [0, 1, 5, 128])
def test_expansion(level, prg, rows, blocks):
    keys = prg.bytes(16 * rows).reshape(rows, 16)
    assert np.array_equal(expand(keys, 3, blocks), expand_numpy(keys, 3, blocks))


@pytest.mark.parametrize("position", [254, (1 << 32) - 3, (1 << 63) - 2])
def test_the_counter_is_big_endian_and_carries(level, prg, position):
    keys = prg.bytes(48).reshape(3, 16)
    assert np.array_equal(expand(keys, position, 40), expand_numpy(keys, position, 40))


@pytest.mark.parametrize("words", [0, 1, 2, 3, 31, 32, 33, 257])
def test_columns(level, prg, words):
    rows = prg.bytes(128 * 8 * words).reshape(128, 8 * words)
    assert np.array_equal(columns(rows), columns_numpy(rows))


@native_only
@pytest.mark.parametrize("width", range(1, 65))
def test_packing(prg, width):
    for n in (0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 1000):
        values = prg.uint64(n) >> np.uint64(64 - width)
        packed = pack(values, width)
        assert packed.tobytes() == pack_numpy(values, width).tobytes()
        assert np.array_equal(unpack(packed, n, width), values)
        assert np.array_equal(unpack_numpy(packed, n, width), values)
        if width <= 32:
            assert pack(values.astype(np.uint32), width).tobytes() == packed.tobytes()
            assert pack(np.repeat(values, 2)[::2], width).tobytes() == packed.tobytes()


@native_only
@pytest.mark.parametrize(("width", "change"), [(31, -1), (31, 1), (0, 0), (65, 0)])
def test_packing_arrays_that_do_not_fit_are_refused(width, change):
    values, packed = np.zeros(9, np.uint64), np.zeros(packed_size(9, width) + change, np.uint8)
    with pytest.raises(ValueError, match="packed"):
        NATIVE.pack(values, width, packed)
    with pytest.raises(ValueError, match="packed"):
        NATIVE.unpack(packed, width, values)


@native_only
@pytest.mark.parametrize("n", SIZES)
def test_labels_and_bits(prg, n):
    zero, bits, delta = prg.uint64((5, n, 2)), prg.bits((5, n)), delta_of(prg)
    views = zero[::-1], np.repeat(bits, 2, axis=1)[:, ::2]  # neither is in C order
    for labels, values in ((zero, bits), views):
        active = halfgates.encode(halfgates.ZeroLabels(labels), delta, values)
        assert np.array_equal(active.blocks, halfgates.encode_numpy(labels, delta, values))
        assert np.array_equal(active.colours(), halfgates.lowest_bits_numpy(active.blocks))
        assert np.array_equal(active.colours() ^ halfgates.ZeroLabels(labels).permute_bits(), values)


@native_only
@pytest.mark.parametrize("n", SIZES)
def test_words(prg, n):
    bits = prg.bits((3, 32, n))
    for width in (1, 2, 31, 32):
        assert np.array_equal(words(bits, width), words_numpy(bits, width))
        assert np.array_equal(words(bits[::2], width), words_numpy(bits, width)[::2])


@native_only
@pytest.mark.parametrize(("shape", "width"), [((2, 9), 3), ((2, 8), 6), ((2, 8), 33), ((1, 8), 3)])
def test_words_that_do_not_fit_are_refused(shape, width):
    with pytest.raises(ValueError, match=r"bits and out differ|at most 32 bits"):
        NATIVE.words(np.zeros((2, 5, 8), np.uint8), width, np.zeros(shape, np.uint32))


@native_only
@pytest.mark.parametrize("shape", [(2, 9), (3, 8)])
def test_labels_that_do_not_fit_are_refused(shape):
    labels, delta = np.zeros((2, 8, 2), np.uint64), np.ones(2, np.uint64)
    with pytest.raises(ValueError, match="differ in shape"):
        NATIVE.encode(labels, delta, np.zeros(shape, np.uint8), labels.copy())
    with pytest.raises(ValueError, match="differ in shape"):
        NATIVE.encode(labels, delta, np.zeros((2, 8), np.uint8), np.zeros((*shape, 2), np.uint64))
    with pytest.raises(ValueError, match="differ in shape"):
        NATIVE.colours(labels, np.zeros(shape, np.uint8))


def comparator() -> Circuit:
    b = Builder()
    return b.finish([greater(b, b.garbler(13), b.evaluator(13))])


def mixed() -> Circuit:
    """Every operation, fixed inputs, an input that is an output, a constant output, slots that are reused."""
    b = Builder()
    x, r, y = b.garbler(5), b.fixed(5), b.evaluator(5)
    total, carry = add_with_carry(b, x, y)
    chosen = select(b, carry, total, r)
    return b.finish([*chosen, b.inv(carry), x[0], b.wire(0), b.wire(1), b.and_(b.wire(1), y[2])])


def no_gates() -> Circuit:
    b = Builder()
    word = b.evaluator(3)
    return b.finish(word[::-1])


@pytest.mark.parametrize(
    "circuit", [comparator(), mixed(), no_gates()], ids=["comparator", "mixed", "no gates"]
)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 8, 13, 64, 127, 128, 129, 777])
def test_garbling(level, prg, numpy_only, circuit, n):
    delta, tweak = delta_of(prg), (1 << 63) + 12345
    own = halfgates.ZeroLabels(prg.uint64((circuit.garbler_inputs, n, 2)))
    fixed = prg.bits((circuit.fixed_inputs, n))
    peers = halfgates.ZeroLabels(prg.uint64((circuit.evaluator_inputs, n, 2)))
    active = [halfgates.encode(zero, delta, prg.bits(zero.blocks.shape[:2])) for zero in (own, peers)]

    def both_roles():
        tables, zero = halfgates.garble(circuit, own, fixed, peers, delta, tweak)
        return tables, zero.blocks, halfgates.evaluate(circuit, *active, tables, tweak).blocks

    ours = both_roles()
    numpy_only()
    for mine, expected in zip(ours, both_roles(), strict=True):
        assert np.array_equal(mine, expected)


def test_the_mixed_circuit_has_every_operation():
    assert set(mixed().op.tolist()) == {int(op) for op in Op}
    assert mixed().fixed_inputs
    assert mixed().slots < mixed().inputs + len(mixed().op)


def test_garbling_takes_views(level, prg, numpy_only):
    circuit, delta = comparator(), delta_of(prg)
    blocks, none = prg.uint64((26, 60, 2)), np.zeros((0, 30), np.uint8)
    own, peers = halfgates.ZeroLabels(blocks[::2, ::2]), halfgates.ZeroLabels(blocks[1::2, 1::2])
    ours = halfgates.garble(circuit, own, none, peers, delta, 0)
    numpy_only()
    expected = halfgates.garble(circuit, own, none, peers, delta, 0)
    assert np.array_equal(ours[0], expected[0])
    assert np.array_equal(ours[1].blocks, expected[1].blocks)


WRONG = {
    "tccr": lambda k, z: k.tccr(z((3, 2)), 0, z((4, 2))),
    "tccr of three words": lambda k, z: k.tccr(z((3, 3)), 0, z((3, 3))),
    "tccr of bytes": lambda k, z: k.tccr(z((3, 2), np.uint8), 0, z((3, 2), np.uint8)),
    "tccr of a view": lambda k, z: k.tccr(z((6, 2))[::2], 0, z((3, 2))),
    "cot_pads": lambda k, z: k.cot_pads(z((3, 2)), z(2), 0, z((3, 2)), z((2, 2))),
    "delta": lambda k, z: k.cot_pads(z((3, 2)), z(3), 0, z((3, 2)), z((3, 2))),
    "expand": lambda k, z: k.expand(z((3, 16), np.uint8), 0, z((4, 16), np.uint8)),
    "half a block": lambda k, z: k.expand(z((3, 16), np.uint8), 0, z((3, 24), np.uint8)),
    "columns": lambda k, z: k.columns(z((128, 8), np.uint8), z((65, 2))),
    "127 rows": lambda k, z: k.columns(z((127, 8), np.uint8), z((64, 2))),
}


@native_only
@pytest.mark.parametrize("case", WRONG)
def test_arrays_that_do_not_fit_are_refused(case):
    """The kernels check for themselves: nothing is read or written past an array's end."""
    with pytest.raises((ValueError, TypeError)):
        WRONG[case](NATIVE, lambda shape, dtype=np.uint64: np.zeros(shape, dtype))


@native_only
@pytest.mark.parametrize(
    ("field", "value"),
    [("a", -1), ("b", 3), ("out", 3), ("output_slots", 3), ("output_slots", -1), ("op", 4), ("slots", 1)],
)
def test_a_circuit_with_a_slot_out_of_range_is_refused(field, value):
    labels = np.zeros((1, 4, 2), np.uint64)
    circuit = {"op": np.array([1], np.uint8), "slots": 3, "output_slots": np.array([2], np.int32)}
    circuit |= {"a": np.array([0], np.int32), "b": np.array([1], np.int32), "out": np.array([2], np.int32)}
    tables, outputs = np.zeros((1, 2, 4, 2), np.uint64), np.zeros((1, 4, 2), np.uint64)
    job = {
        "garbler": labels,
        "evaluator": labels,
        "fixed_inputs": 0,
        "tweak": 0,
        "tables": tables,
        "outputs": outputs,
    }
    NATIVE.evaluate(**circuit, **job)
    circuit[field] = value if field == "slots" else np.array([value], circuit[field].dtype)
    with pytest.raises(ValueError, match=r"range|none of|inputs"):
        NATIVE.evaluate(**circuit, **job)


@native_only
@pytest.mark.parametrize("field", ["garbler", "evaluator", "tables", "outputs"])
@pytest.mark.parametrize("axis", [0, "instances"])
def test_garbling_arrays_that_do_not_fit_are_refused(field, axis):
    c = comparator()
    shapes = {"garbler": (13, 4, 2), "evaluator": (13, 4, 2), "tables": (13, 2, 4, 2), "outputs": (1, 4, 2)}
    at = shapes[field].index(4) if axis == "instances" else 0
    if (field, axis) in itertools.product(["garbler", "evaluator"], [0]):
        return  # more inputs than slots is another test; the wrapper checks their number
    shapes[field] = tuple(size - (i == at) for i, size in enumerate(shapes[field]))
    arrays = {name: np.zeros(shape, np.uint64) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match=r"fit|differ"):
        NATIVE.evaluate(c.op, c.a, c.b, c.out, c.slots, c.outputs, fixed_inputs=0, tweak=0, **arrays)


@native_only
def test_read_only_inputs_are_taken_and_read_only_outputs_refused():
    x, out = np.zeros((4, 2), np.uint64), np.zeros((4, 2), np.uint64)
    x.setflags(write=False)
    NATIVE.tccr(x, 0, out)
    out.setflags(write=False)
    with pytest.raises(TypeError):
        NATIVE.tccr(x, 0, out)


@native_only
def test_a_kernel_runs_beside_other_threads():
    """The GIL is dropped: a thread that waits for it gets it in a kernel, and could not get it elsewhere."""
    x = np.zeros((1 << 16, 2), np.uint64)
    go, ran = threading.Event(), []

    def other() -> None:
        go.wait()
        ran.append(True)

    thread = threading.Thread(target=other)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        go.set()
        for _ in range(1000):
            NATIVE.tccr(x, 0, x)
            if ran:
                break
        inside = list(ran)
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert inside


@native_only
def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="level"):
        NATIVE.select("avx10")
    assert NATIVE.level() in NATIVE.levels()


@given(st.integers(0, 40), st.integers(0, (1 << 64) - 1))
def test_hash_by_hypothesis(n, tweak):
    x = Prg(n.to_bytes(16, "little")).blocks(n)
    assert np.array_equal(tccr(x, tweak), tccr_numpy(x, tweak))


class TestChoice:
    """Which kernels `kernels.native` hands out."""

    def test_turned_off_by_the_environment(self, monkeypatch, caplog):
        monkeypatch.setenv("CIRCA_NATIVE", "0")
        assert kernels.native.__wrapped__() is None
        assert not caplog.records

    def test_missing_kernels_are_said_once(self, monkeypatch, caplog):
        monkeypatch.delenv("CIRCA_NATIVE", raising=False)
        monkeypatch.setitem(sys.modules, "circa.protocols._kernels", None)
        monkeypatch.delattr("circa.protocols._kernels", raising=False)
        kernels.native.cache_clear()
        try:
            with caplog.at_level(logging.WARNING, logger="circa"):
                assert [kernels.native(), kernels.native()] == [None, None]
            assert len(caplog.records) == 1
            assert "NumPy runs instead" in caplog.text
        finally:
            kernels.native.cache_clear()

    @native_only
    @pytest.mark.parametrize("interface", ["0" * 64, None])
    def test_kernels_of_another_version_are_not_used(self, interface, monkeypatch, caplog):
        monkeypatch.delenv("CIRCA_NATIVE", raising=False)
        monkeypatch.setattr(NATIVE, "interface", interface)
        assert kernels.native.__wrapped__() is None
        assert "run `make kernels`" in caplog.text

    def test_without_kernels_the_functions_give_the_same(self, prg, numpy_only):
        x = prg.blocks(100)
        before = tccr(x, 5)
        numpy_only()
        assert np.array_equal(tccr(x, 5), before)
