import hashlib
import re

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from vectors.circuits import aes128, sha256
from vectors.random_circuits import random_circuit

from circa.protocols.errors import ParameterError
from circa.protocols.garbling import bristol
from circa.protocols.garbling.bristol import read_bristol, read_bristol_file, write_bristol
from circa.protocols.garbling.halfgates import ZeroLabels, encode, evaluate, garble
from circa.protocols.garbling.plain import evaluate_plain, from_bits, to_bits
from circa.protocols.prg import Prg

# a full adder: x, y of one party and the carry of the other; outputs sum and carry
OLD = """5 8
2 1 2

2 1 0 1 3 XOR
2 1 0 2 4 XOR
2 1 3 2 6 XOR
2 1 3 4 5 AND
2 1 5 0 7 XOR
"""
FASHION = """6 11
2 2 1
1 4

2 1 0 1 3 XOR
4 2 0 3 1 2 4 5 MAND
1 1 1 6 EQ

2 1 4 5 7 XOR
1 1 3 8 INV
1 1 2 9 EQW
1 1 1 10 EQ
"""  # outputs: carry, NOT (x ^ y), c, 1
FASHION = FASHION.replace("6 11", "7 11")
ROWS = np.array([[i >> j & 1 for i in range(8)] for j in range(3)], np.uint8)
NO_BITS = np.zeros((0, 8), np.uint8)


def test_old_format():
    read = read_bristol(OLD)
    assert (read.inputs, read.outputs) == ((2, 1), (2,))
    assert (read.circuit.garbler_inputs, read.circuit.evaluator_inputs, read.circuit.ands) == (2, 1, 1)
    total = from_bits(evaluate_plain(read.circuit, ROWS[:2], NO_BITS, ROWS[2:]))
    assert (total == ROWS.sum(axis=0)).all()


def test_fashion_format():
    read = read_bristol(FASHION, garbler=[1])
    assert (read.inputs, read.outputs) == ((2, 1), (4,))
    assert (read.circuit.garbler_inputs, read.circuit.evaluator_inputs, read.circuit.ands) == (1, 2, 2)
    carry, same, c, one = evaluate_plain(read.circuit, ROWS[2:], NO_BITS, ROWS[:2])
    x, y, _ = ROWS
    assert (carry == ROWS.sum(axis=0) // 2).all()
    assert (same == (x == y)).all()
    assert (c == ROWS[2]).all()
    assert (one == 1).all()


def test_windows_line_ends_and_a_missing_last_one():
    assert read_bristol(OLD.replace("\n", "\r\n").rstrip()).circuit.ands == 1


FAULTS = {
    "no header": ("", "", "ends after line 0, expected the numbers of gates and wires"),
    "three numbers": ("5 8\n", "5 8 9\n", "line 1: expected the numbers of gates and wires, got 3 words"),
    "a word": ("5 8\n", "5 eight\n", "line 1: 'eight' is not a number"),
    "a sign": ("5 8\n", "5 -8\n", "line 1: '-8' is not a number"),
    "another script": ("5 8\n", "5 \u0668\n", "line 1: '\u0668' is not a number"),
    "ten digits": ("5 8\n", "5 1000000000\n", "line 1: '1000000000' is not a number of at most 9 digits"),
    "too many gates": (
        "5 8\n",
        "4194305 8\n",
        "line 1: 4194305 gates and 8 wires, the limits are 4194304 and 8388608",
    ),
    "too many wires": ("5 8\n", "5 8388609\n", "line 1: 5 gates and 8388609 wires"),
    "four widths": ("2 1 2\n", "2 1 2 2\n", "expected two numbers of inputs and one of outputs above, got 4"),
    "wide inputs": ("2 1 2\n", "7 2 2\n", "9 inputs and 2 outputs among 8 wires"),
    "wide outputs": ("2 1 2\n", "2 1 9\n", "3 inputs and 9 outputs among 8 wires"),
    "unknown gate": ("2 1 0 1 3 XOR", "2 1 0 1 3 NAND", "line 4: unknown operation 'NAND'; known: XOR, AND"),
    "arity": ("2 1 0 1 3 XOR", "1 1 0 3 XOR", "line 4: XOR has 2 inputs and 1 outputs, not 1 and 1"),
    "too few wires": ("2 1 0 1 3 XOR", "2 1 0 3 XOR", "line 4: a gate of 4 numbers"),
    "no numbers": ("2 1 0 1 3 XOR", "XOR", "line 4: a gate of 0 numbers"),
    "unset input": ("2 1 0 1 3 XOR", "2 1 0 4 3 XOR", "line 4: wire 4 is read before it is set"),
    "input far away": ("2 1 0 1 3 XOR", "2 1 0 99 3 XOR", "line 4: wire 99 is read before it is set"),
    "set twice": ("2 1 3 4 5 AND", "2 1 3 4 3 AND", "line 7: wire 3 is set already"),
    "an input set": ("2 1 0 1 3 XOR", "2 1 0 1 1 XOR", "line 4: wire 1 is set already"),
    "output far away": ("2 1 5 0 7 XOR", "2 1 5 0 8 XOR", "line 8: wire 8 is not below 8"),
    "a gate short": ("2 1 5 0 7 XOR\n", "", "ends after line 7, expected a gate"),
    "a gate too many": ("2 1 5 0 7 XOR\n", "2 1 5 0 7 XOR\n2 1 5 0 7 XOR\n", "line 9: there is text after"),
    "an output unset": ("5 8\n2 1 2", "5 9\n2 1 2", "line 8: wire 8 is never set"),
}


@pytest.mark.parametrize(("old", "new", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named_with_its_line(old, new, message):
    text = OLD.replace(old, new) if old else ""
    with pytest.raises(ParameterError, match=re.escape(message)):
        read_bristol(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2 2 1\n", "3 2 1\n", "3 input values, but 2 widths"),
        ("1 4\n", "2 4\n", "2 output values, but 1 widths"),
        ("2 2 1\n", "1025 2 1\n", "1025 input values, the limit is 1024"),
        ("1 1 1 6 EQ", "1 1 2 6 EQ", "line 7: EQ sets a wire to 0 or 1, not to 2"),
        (
            "4 2 0 3 1 2 4 5 MAND",
            "4 1 0 3 1 2 4 MAND",
            "line 6: MAND has 2 inputs and 1 outputs, not 4 and 1",
        ),
    ],
)
def test_a_fault_in_fashion_is_named(old, new, message):
    with pytest.raises(ParameterError, match=message):
        read_bristol(FASHION.replace(old, new))


def test_unknown_values_of_the_garbler_are_refused():
    with pytest.raises(ParameterError, match=r"garbler's values \[2\] of 2 input values"):
        read_bristol(OLD, garbler=[2])


def test_files(tmp_path, monkeypatch):
    path = tmp_path / "adder.txt"
    path.write_text(OLD)
    assert read_bristol_file(path).circuit.ands == 1
    monkeypatch.setattr(bristol, "MAX_BYTES", len(OLD) - 1)
    with pytest.raises(ParameterError, match=f"has {len(OLD)} bytes, the limit is {len(OLD) - 1}"):
        read_bristol_file(path)
    monkeypatch.undo()
    path.write_bytes(OLD.encode() + b"\xff")
    with pytest.raises(ParameterError, match=f"not ASCII text at byte {len(OLD)}"):
        read_bristol_file(path)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_written_reads_back(seed):
    circuit, _ = random_circuit(seed, 60, (2, 0, 3))
    read = read_bristol(write_bristol(circuit))
    assert read.inputs == (2, 3)
    rows = np.array([[i >> j & 1 for i in range(32)] for j in range(5)], np.uint8)
    for copy in (circuit, read.circuit):
        copy_bits = evaluate_plain(copy, rows[:2], np.zeros((0, 32), np.uint8), rows[2:])
        assert np.array_equal(
            copy_bits, evaluate_plain(circuit, rows[:2], np.zeros((0, 32), np.uint8), rows[2:])
        )


def garbled(circuit, garbler, evaluator):
    prg, n = Prg(b"known answers..."), garbler.shape[1]
    delta = prg.blocks(1)[0] | np.array([1, 0], np.uint64)
    own, peers = (ZeroLabels(prg.uint64((bits.shape[0], n, 2))) for bits in (garbler, evaluator))
    tables, zero = garble(circuit, own, np.zeros((0, n), np.uint8), peers, delta, 0)
    active = evaluate(circuit, encode(own, delta, garbler), encode(peers, delta, evaluator), tables, 0)
    return active.colours() ^ zero.permute_bits()


def interpreters():
    return lambda c, g, e: evaluate_plain(c, g, np.zeros((0, g.shape[1]), np.uint8), e), garbled


def test_aes128():
    """Our circuit through the file format, against `cryptography`; the first pair is FIPS 197, appendix
    C.1."""
    read = read_bristol(write_bristol(aes128()))
    assert read.circuit.ands == 36 * 200
    prg = Prg(b"keys, plaintexts")
    keys, texts = prg.bytes(64).reshape(4, 16), prg.bytes(64).reshape(4, 16)
    keys[0], texts[0] = np.arange(16), np.arange(16) * 17
    expected = [
        Cipher(algorithms.AES128(key.tobytes()), modes.ECB()).encryptor().update(text.tobytes())
        for key, text in zip(keys, texts, strict=True)
    ]
    assert expected[0].hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"
    key_bits, text_bits = (np.unpackbits(x, axis=1, bitorder="little").T for x in (keys, texts))
    for interpret in interpreters():
        bits = interpret(read.circuit, key_bits, text_bits)
        assert [row.tobytes() for row in np.packbits(bits.T, axis=1, bitorder="little")] == expected


def test_sha256():
    """Our circuit through the file format, against `hashlib`."""
    read = read_bristol(write_bristol(sha256()))
    messages = [b"", b"abc", bytes(range(55))]
    blocks = [m + b"\x80" + bytes(55 - len(m)) + (8 * len(m)).to_bytes(8, "big") for m in messages]
    words = np.array([np.frombuffer(block, ">u4") for block in blocks]).astype(np.uint32)
    bits = to_bits(words.T, 32).reshape(16 * 32, len(messages))
    for interpret in interpreters():
        out = interpret(read.circuit, bits[:256], bits[256:]).reshape(8, 32, len(messages))
        digests = from_bits(out).T.astype(">u4")
        assert [row.tobytes() for row in digests] == [hashlib.sha256(m).digest() for m in messages]
