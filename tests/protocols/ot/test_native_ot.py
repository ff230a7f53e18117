"""The native kernels of OT against their NumPy definitions, byte for byte, at every level."""

import numpy as np
import pytest

from circa.protocols import kernels
from circa.protocols.ot import leaves, one_of_n
from circa.protocols.ot.cots import ReceivedCots, SentCots
from circa.protocols.prg import Prg

NATIVE = kernels.native()


@pytest.fixture
def prg():
    return Prg(b"kernel test seed")


def delta_of(prg: Prg) -> np.ndarray:
    return prg.blocks(1)[0] | np.array([1, 0], np.uint64)


@pytest.mark.parametrize("k", range(1, 9))
@pytest.mark.parametrize("n", [0, 1, 8, 127, 128, 129, 1000, 2047, 2048, 2049, 4133])
def test_both_steps_of_softspoken(level, prg, k, n):
    """Two messages in a row, so that the second starts inside the streams."""
    delta, width, trees = delta_of(prg), -(-n // 8), len(leaves.depths(k))
    count = sum(1 << depth for depth in leaves.depths(k))
    seeds = prg.bytes(16 * count).reshape(count, 16)
    ours, expected = leaves.Leaves(seeds, k), leaves.Leaves(seeds, k)
    for message in (1, 2):
        r = np.packbits(prg.bits(n), bitorder="little")
        d, d_expected = np.zeros((2, trees, width), np.uint8)
        out, out_expected = np.zeros((2, n, 2), np.uint64)
        leaves.receiver_step(ours, r, d, out)
        leaves.receiver_step_numpy(expected, r, d_expected, out_expected)
        assert np.array_equal(d, d_expected)
        assert np.array_equal(out, out_expected)
        leaves.sender_step(ours, delta, d, out)
        leaves.sender_step_numpy(expected, delta, d, out_expected)
        assert np.array_equal(out, out_expected)
        assert ours.position == expected.position == 2 * message * -(-width // 16)


@pytest.mark.parametrize(("n", "blocks"), [(2, 1), (3, 2), (6, 1), (6, 3), (7, 1), (8, 2), (8, 4)])
@pytest.mark.parametrize(("first", "elements"), [(0, 0), (0, 1), (0, 50), (3, 16), (1, 49), (17, 33)])
def test_sums_of_one_of_n(level, prg, n, blocks, first, elements):
    cots = SentCots(prg.blocks(50 * n), delta_of(prg), 1 << 40)
    given = ReceivedCots(prg.blocks(50 * n), prg.bits(50 * n), 12345)
    ours, expected = np.ones((2, blocks, elements, 2), np.uint64)
    one_of_n.sender_sums(cots, n, first, ours)
    one_of_n.sender_sums_numpy(cots, n, first, expected)
    assert np.array_equal(ours, expected)
    one_of_n.receiver_sums(given, n, first, ours)
    one_of_n.receiver_sums_numpy(given, n, first, expected)
    assert np.array_equal(ours, expected)


WRONG = {
    "keys of no whole element": lambda k, z: k.one_of_n_send(z((13, 2)), z(2), 0, 6, 0, z((1, 2, 2))),
    "an element too many": lambda k, z: k.one_of_n_send(z((12, 2)), z(2), 0, 6, 1, z((1, 2, 2))),
    "an element too many received": lambda k, z: k.one_of_n_recv(z((12, 2)), 0, 6, 3, z((1, 0, 2))),
    "an index of one bit": lambda k, z: k.one_of_n_recv(z((12, 2)), 0, 1, 0, z((1, 2, 2))),
    "schedules": lambda k, z: k.schedules(z((3, 16), np.uint8), z((4, 176), np.uint8)),
    "schedules of 160 bytes": lambda k, z: k.schedules(z((3, 16), np.uint8), z((3, 160), np.uint8)),
    "k = 0": lambda k, z: k.softspoken_send(
        z((256, 176), np.uint8), 0, 0, z(2), z((128, 8), np.uint8), z((64, 2))
    ),
    "k = 9": lambda k, z: k.softspoken_send(
        z((256, 176), np.uint8), 9, 0, z(2), z((15, 8), np.uint8), z((64, 2))
    ),
    "leaves": lambda k, z: k.softspoken_send(
        z((255, 176), np.uint8), 1, 0, z(2), z((128, 8), np.uint8), z((64, 2))
    ),
    "leaves of a smaller last tree": lambda k, z: k.softspoken_send(
        z((18 * 128, 176), np.uint8), 7, 0, z(2), z((19, 8), np.uint8), z((64, 2))
    ),
    "rows": lambda k, z: k.softspoken_send(
        z((256, 176), np.uint8), 1, 0, z(2), z((127, 8), np.uint8), z((64, 2))
    ),
    "columns of d": lambda k, z: k.softspoken_send(
        z((256, 176), np.uint8), 1, 0, z(2), z((128, 8), np.uint8), z((65, 2))
    ),
    "choices": lambda k, z: k.softspoken_recv(
        z((256, 176), np.uint8), 1, 0, z(9, np.uint8), z((128, 8), np.uint8), z((64, 2))
    ),
}


@pytest.mark.skipif(not NATIVE, reason="no native kernels on this machine")
@pytest.mark.parametrize("case", WRONG)
def test_arrays_that_do_not_fit_are_refused(case):
    """The kernels check for themselves: nothing is read or written past an array's end."""
    with pytest.raises((ValueError, TypeError)):
        WRONG[case](NATIVE, lambda shape, dtype=np.uint64: np.zeros(shape, dtype))
