"""The ideal functionality keeps the relation of the real one, and stays in tests."""

import ast

import numpy as np
import pytest

from circa.protocols.errors import FramingError, ParameterError
from circa.protocols.ot.ideal import ideal_pair
from circa.protocols.prg import Prg


def test_relation_in_both_directions():
    left, right = ideal_pair(Prg(bytes(16)))
    for sender, receiver in ((left.sender, right.receiver), (right.sender, left.receiver)):
        for n in (0, 1, 100):
            choices = Prg(b"choices of test.").bits(n)
            received, sent = receiver.extend(choices), sender.extend(n)
            assert (received.M ^ choices[:, None] * sent.delta == sent.K).all()
            assert sent.tweak == received.tweak
        assert sent.tweak == 1
    assert not (left.sender.delta == right.sender.delta).any()


def test_delta_is_odd_and_fresh():
    deltas = [end.sender.delta for i in range(16) for end in ideal_pair(Prg(bytes([i]) * 16))]
    assert all(int(delta[0]) & 1 for delta in deltas)
    assert len({delta.tobytes() for delta in deltas}) == 32


def test_numbers_must_agree():
    left, right = ideal_pair(Prg(bytes(16)))
    right.receiver.extend(np.zeros(3, np.uint8))
    with pytest.raises(FramingError):
        left.sender.extend(4)


def test_choices_are_bits():
    with pytest.raises(ParameterError):
        ideal_pair(Prg(bytes(16)))[0].receiver.extend(np.array([2], np.uint8))


def test_the_library_does_not_import_it(root):
    """Only tests may name the ideal OT: no module of circa or protocols imports it."""
    sources = [p for folder in ("circa", "protocols", "models") for p in (root / folder).rglob("*.py")]
    assert len(sources) > 10
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = {f"{node.module or ''}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            else:
                continue
            assert not any("ot.ideal" in name or "ideal_pair" in name for name in names), path
