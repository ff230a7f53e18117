import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors.random_circuits import random_circuit

from circa.protocols import kernels
from circa.protocols.errors import ParameterError
from circa.protocols.garbling import halfgates
from circa.protocols.garbling.circuit import Builder
from circa.protocols.garbling.halfgates import ActiveLabels, ZeroLabels, encode, evaluate, garble
from circa.protocols.garbling.plain import evaluate_plain
from circa.protocols.hash import tccr
from circa.protocols.prg import Prg

ONE = np.uint64(1)
GATES = {"and_": lambda x, y: x & y, "xor": lambda x, y: x ^ y, "inv": lambda x, y: 1 - x}


@pytest.fixture(params=["numpy", "installed"], scope="module", autouse=True)
def engine(request):
    """Every test with NumPy, which is the definition, and with whatever is installed."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "numpy":
            patch.setattr(kernels, "native", lambda: None)
        yield


def draw_delta(prg):
    delta = prg.blocks(1)[0]
    delta[0] |= ONE
    return delta


def labels(prg, wires, instances):
    return ZeroLabels(prg.uint64((wires, instances, 2)))


def no_bits(instances):
    return np.zeros((0, instances), np.uint8)


def run(circuit, garbler, fixed, evaluator, prg, tweak=0):
    """Garble and evaluate; returns the outputs and everything the evaluator saw."""
    delta = draw_delta(prg)
    own, peers = (labels(prg, bits.shape[0], bits.shape[1]) for bits in (garbler, evaluator))
    tables, zero = garble(circuit, own, fixed, peers, delta, tweak)
    active_g, active_e = encode(own, delta, garbler), encode(peers, delta, evaluator)
    active = evaluate(circuit, active_g, active_e, tables, tweak)
    view = [x.reshape(-1, 2) for x in (tables, active_g.blocks, active_e.blocks, active.blocks)]
    expected = encode(zero, delta, active.colours() ^ zero.permute_bits())
    assert np.array_equal(active.blocks, expected.blocks), "an output label is neither of the wire's two"
    return active.colours() ^ zero.permute_bits(), delta, view


@pytest.mark.parametrize(("kind", "x", "y", "p_x", "p_y"), list(itertools.product(GATES, *[(0, 1)] * 4)))
def test_gate(kind, x, y, p_x, p_y):
    """Every row of every gate under every pair of permute bits."""
    b = Builder()
    wires = b.garbler(1) + b.evaluator(1)
    circuit = b.finish([b.inv(wires[0]) if kind == "inv" else getattr(b, kind)(*wires)])
    prg = Prg(b"gate by gate....")
    delta, zero = draw_delta(prg), labels(prg, 2, 3)
    zero.blocks[:, :, 0] = zero.blocks[:, :, 0] & ~ONE | np.array([[p_x], [p_y]], np.uint64)
    own, peers = ZeroLabels(zero.blocks[:1]), ZeroLabels(zero.blocks[1:])
    tables, out = garble(circuit, own, no_bits(3), peers, delta, 77)
    active = [encode(wire, delta, np.full((1, 3), bit, np.uint8)) for wire, bit in ((own, x), (peers, y))]
    colours = evaluate(circuit, *active, tables, 77).colours()
    assert (colours ^ out.permute_bits() == GATES[kind](x, y)).all()
    assert tables.nbytes == (32 * 3 if kind == "and_" else 0)


def test_and_gate_is_the_papers():
    """[ZRE15] figure 2, written out with the hash as it is defined."""
    b = Builder()
    x, y, z = b.garbler(3)
    circuit = b.finish([b.and_(b.and_(x, y), z)])
    prg, n, tweak = Prg(b"figure two......"), 5, 1 << 63
    delta, zero = draw_delta(prg), labels(prg, 3, n)
    tables, out = garble(circuit, zero, no_bits(n), ZeroLabels(zero.blocks[:0]), delta, tweak)

    def gate(a0, b0, number):
        j, k = tweak + 2 * number * n, tweak + (2 * number + 1) * n
        p_a, p_b = a0[:, :1] & ONE, b0[:, :1] & ONE
        TG = tccr(a0, j) ^ tccr(a0 ^ delta, j) ^ p_b * delta
        TE = tccr(b0, k) ^ tccr(b0 ^ delta, k) ^ a0
        return tccr(a0, j) ^ p_a * TG ^ tccr(b0, k) ^ p_b * (TE ^ a0), np.stack([TG, TE])

    first, first_tables = gate(zero.blocks[0], zero.blocks[1], 0)
    second, second_tables = gate(zero.blocks[2], first, 1)  # operands in the order of their numbers
    assert np.array_equal(tables, np.stack([first_tables, second_tables]))
    assert np.array_equal(out.blocks[0], second)


@given(st.integers(0, 1 << 30), st.integers(0, 60))
@settings(max_examples=40)
def test_random_circuits_equal_the_plain_evaluator(seed, gates):
    circuit, _ = random_circuit(seed, gates, (2, 1, 2))
    rows = np.array(list(itertools.product((0, 1), repeat=5)), np.uint8).T
    inputs = rows[:2], rows[2:3], rows[3:]
    outputs, delta, view = run(circuit, *inputs, Prg(seed.to_bytes(16, "big")), tweak=seed)
    assert np.array_equal(outputs, evaluate_plain(circuit, *inputs))
    check_view(delta, view)


def check_view(delta, view):
    """No two blocks that the evaluator has seen or derived differ by delta; 0 is the label of what is
    fixed."""
    seen = {block.tobytes() for part in [*view, np.zeros((1, 2), np.uint64)] for block in part}
    shifted = {(block ^ delta).tobytes() for part in [*view, np.zeros((1, 2), np.uint64)] for block in part}
    assert not seen & shifted


def test_the_view_check_sees_a_leak():
    prg = Prg(b"leak............")
    delta, block = draw_delta(prg), prg.blocks(1)
    for view in ([block, block ^ delta], [delta[None]]):
        with pytest.raises(AssertionError):
            check_view(delta, view)


@pytest.mark.parametrize("instances", [1, 7, 8, 9, 17])
def test_instances_in_blocks_give_the_same_bytes(instances, monkeypatch):
    circuit, _ = random_circuit(3, 40, (2, 2, 2))

    def everything():
        prg = Prg(b"blocks..........")
        rows = prg.bits((6, instances))
        outputs, _, view = run(circuit, rows[:2], rows[2:4], rows[4:], prg)
        return [outputs, *view]

    whole = everything()
    monkeypatch.setattr(halfgates, "BLOCK", 8)
    for expected, got in zip(whole, everything(), strict=True):
        assert np.array_equal(expected, got)


def test_no_instances():
    circuit, _ = random_circuit(5, 20, (2, 0, 2))
    outputs, _, _ = run(
        circuit, np.zeros((2, 0), np.uint8), no_bits(0), np.zeros((2, 0), np.uint8), Prg(bytes(16))
    )
    assert outputs.shape == (circuit.outputs.size, 0)


def test_inputs_are_not_changed():
    circuit, _ = random_circuit(8, 60, (3, 0, 3))
    prg = Prg(b"inputs unchanged")
    delta, own, peers = draw_delta(prg), labels(prg, 3, 4), labels(prg, 3, 4)
    copies = own.blocks.copy(), peers.blocks.copy()
    tables, _ = garble(circuit, own, no_bits(4), peers, delta, 0)
    table_copy = tables.copy()
    room = np.zeros_like(tables)
    assert garble(circuit, own, no_bits(4), peers, delta, 0, out=room)[0] is room
    assert np.array_equal(room, tables)
    evaluate(circuit, ActiveLabels(own.blocks), ActiveLabels(peers.blocks), tables, 0)
    for before, after in zip([*copies, table_copy], [own.blocks, peers.blocks, tables], strict=True):
        assert np.array_equal(before, after)


def test_wrong_shapes_are_refused():
    b = Builder()
    circuit = b.finish([b.and_(*b.garbler(1), *b.evaluator(1))])
    prg = Prg(bytes(16))
    delta, one, two = draw_delta(prg), labels(prg, 1, 4), labels(prg, 2, 4)
    with pytest.raises(ParameterError, match="expected labels of shape"):
        garble(circuit, one, no_bits(4), two, delta, 0)
    with pytest.raises(ParameterError, match="expected fixed bits of shape"):
        garble(circuit, one, no_bits(3), one, delta, 0)
    with pytest.raises(ParameterError, match="lowest bit 1"):
        garble(circuit, one, no_bits(4), one, delta & ~ONE, 0)
    tables, _ = garble(circuit, one, no_bits(4), one, delta, 0)
    with pytest.raises(ParameterError, match="expected tables of shape"):
        garble(circuit, one, no_bits(4), one, delta, 0, out=tables[:, :, :3])
    active = encode(one, delta, np.ones((1, 4), np.uint8))
    with pytest.raises(ParameterError, match="expected tables of shape"):
        evaluate(circuit, active, active, tables[:, :, :3], 0)
    with pytest.raises(ParameterError, match="expected labels of shape"):
        evaluate(circuit, active, ActiveLabels(two.blocks), tables, 0)
    with pytest.raises(ParameterError, match="encode bits of shape"):
        encode(one, delta, np.ones((2, 4), np.uint8))
