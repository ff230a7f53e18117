"""The layer over SEAL: what peers send is checked, refusals become CheckFailed, files do not leak."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from circa.protocols.channel import memory_pair
from circa.protocols.errors import CheckFailed, FramingError, ProtocolError
from circa.protocols.linear import he
from circa.protocols.linear.parameters import A8192, B4096
from circa.protocols.linear.seal import Keys, context, pack_words, unpack_words
from circa.protocols.linear.shape import LinearShape
from circa.protocols.prg import Prg
from circa.protocols.shares import PRIME31, RING32

SHAPE = LinearShape.fully_connected(20, 6)
WEIGHTS = np.arange(120, dtype=np.int64).reshape(SHAPE.weight_shape) - 60
R = np.arange(20, dtype=np.uint32).reshape(1, *SHAPE.input_shape)
C1 = 4096 * 46 // 8


@pytest.mark.parametrize("parameters", [B4096, A8192])
@pytest.mark.parametrize("modulus", [RING32, PRIME31])
def test_a_request_encrypts_its_polynomial(parameters, modulus):
    chosen = context(parameters, modulus.value)
    keys = Keys(chosen)
    values = modulus.uniform(Prg(bytes(16)), parameters.degree).astype(np.uint64)
    message = keys.encrypt(values)
    assert len(message) == parameters.request_bytes
    ciphertext = chosen.unpack_request(message)
    chosen.leave_ntt(ciphertext)
    assert chosen.words(ciphertext).shape == (2, len(parameters.data_bits), parameters.degree)
    chosen.drop(ciphertext)
    c0, c1 = chosen.words(ciphertext)[:, 0]
    np.testing.assert_array_equal(keys.decrypt(c1, c0), values)
    assert (Keys(chosen).decrypt(c1, c0) != values).any()


def test_one_context_a_process():
    assert context(B4096, RING32.value) is context(B4096, RING32.value)
    assert context(B4096, RING32.value) is not context(B4096, PRIME31.value)


def test_words_are_checked_against_their_prime():
    q = context(B4096, RING32.value).primes[0]
    words = np.array([0, 5, q - 1], np.uint64)
    np.testing.assert_array_equal(unpack_words(pack_words(words, q), 3, q), words)
    with pytest.raises(CheckFailed, match="not reduced"):
        unpack_words(pack_words(np.array([0, q], np.uint64), q), 2, q)


def messages():
    """An honest public key, request and response."""
    left, right = memory_pair()
    left.record(), right.record()
    receiver, sender = he.LinearReceiver(RING32), he.LinearSender(RING32, Prg(bytes(16)))
    receiver.setup(right)
    receiver.request(right, SHAPE, R)
    sender.setup(left)
    sender.respond(left, sender.prepare(RING32, SHAPE, WEIGHTS), 1)
    key, request = right.sent
    return receiver, key, request, left.sent[0]


def sender_sees(key, request):
    left, right = memory_pair()
    right.send(key), right.send(request)
    sender = he.LinearSender(RING32, Prg(bytes(16)))
    sender.setup(left)
    return sender.respond(left, sender.prepare(RING32, SHAPE, WEIGHTS), 1)


def receiver_sees(receiver, response):
    left, right = memory_pair()
    left.send(response)
    return receiver.receive(right, SHAPE, 1)


def spoilt(message, start, size):
    """The message with ones in `size` bytes from `start`: the first coefficient there is all ones."""
    return message[:start] + b"\xff" * size + message[start + size :]


FAULTS = {
    "short": (lambda m: m[:-1], FramingError),
    "empty": (lambda m: b"", FramingError),
    "long": (lambda m: m + b"\0", FramingError),
    "first prime": (lambda m: spoilt(m, 0, 6), CheckFailed),
}
UP = FAULTS | {
    "second prime": (lambda m: spoilt(m, C1, 8), CheckFailed),
    "last coefficient": (lambda m: spoilt(m, 4096 * 106 // 8 - 8, 8), CheckFailed),
}
DOWN = FAULTS | {"c0": (lambda m: spoilt(m, C1, 6), CheckFailed)}


@pytest.mark.parametrize(("spoil", "expected"), UP.values(), ids=UP)
@pytest.mark.parametrize("which", ["key", "request"])
def test_bad_keys_and_requests_are_refused(which, spoil, expected):
    _, key, request, _ = messages()
    with pytest.raises(expected):
        sender_sees(*((spoil(key), request) if which == "key" else (key, spoil(request))))


@pytest.mark.parametrize(("spoil", "expected"), DOWN.values(), ids=DOWN)
def test_bad_responses_are_refused(spoil, expected):
    receiver, _, _, response = messages()
    with pytest.raises(expected):
        receiver_sees(receiver, spoil(response))


@pytest.mark.parametrize("fill", [b"\0", b"\x5a", "random"])
def test_garbage_gives_garbage_or_a_protocol_error(fill):
    """Reduced values are ciphertexts of something; no other kind of error may come out."""
    receiver, key, request, response = messages()
    expected = receiver_sees(receiver, response)

    def garbage(size):
        return Prg(b"garbage of a ...").bytes(size).tobytes() if fill == "random" else fill * size

    for attempt in (
        lambda: sender_sees(garbage(len(key)), request),
        lambda: sender_sees(key, garbage(len(request))),
        lambda: sender_sees(key, request[:-64] + garbage(64)),
        lambda: receiver_sees(receiver, garbage(len(response))),
    ):
        try:
            result = attempt()
        except ProtocolError:
            continue
        assert result.shape == (1, 6, 1, 1)
        assert (result != expected).any()


def test_a_refusal_of_the_library_is_a_failed_check():
    chosen = context(B4096, RING32.value)
    with pytest.raises(CheckFailed, match="refuses"):
        chosen.ciphertext(np.full((2, 2, 4096), 1 << 63, np.uint64))
    transparent = chosen.ciphertext(np.zeros((2, 2, 4096), np.uint64))
    with pytest.raises(CheckFailed, match="refuses"):
        chosen.add(transparent, transparent)


def test_threads_leave_no_open_files():
    chosen = context(B4096, RING32.value)

    def work():
        chosen.coefficients(chosen.plaintext(np.arange(9, dtype=np.uint64)))

    work()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(os.listdir("/proc/self/fd")) == before


FORK = """
import os, numpy as np
from circa.protocols.linear.parameters import B4096
from circa.protocols.linear.seal import context
chosen = context(B4096, 1 << 32)
path = chosen._pipe.write(b"parent")
if os.fork() == 0:
    chosen._pipe.write(b"child")
    os._exit(0)
os.wait()
print(open(path, "rb").read().decode())
"""


def test_a_forked_child_has_a_file_of_its_own(root):
    command = [sys.executable, "-P", "-W", "ignore", "-c", FORK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=root, check=True)
    assert done.stdout.strip() == "parent"
