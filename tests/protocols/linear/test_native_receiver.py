"""The native key holder and SEAL read each other's ciphertexts; requests are fresh, errors and keys small."""

import numpy as np
import pytest

from circa.protocols import kernels
from circa.protocols.errors import CheckFailed
from circa.protocols.linear import native_receiver
from circa.protocols.linear.backend import receiver_backend
from circa.protocols.linear.native_receiver import NativeReceiver
from circa.protocols.linear.native_sender import NativeSender
from circa.protocols.linear.parameters import A8192, B4096
from circa.protocols.linear.seal import context, pack_words
from circa.protocols.linear.seal_receiver import SealReceiver
from circa.protocols.linear.seal_sender import SealSender
from circa.protocols.prg import Prg
from circa.protocols.shares import PRIME31, RING32

NATIVE = kernels.native()
if NATIVE is None:
    pytest.skip("no native kernels on this machine", allow_module_level=True)

SETS = {
    "B4096 ring": (B4096, RING32),
    "B4096 prime": (B4096, PRIME31),
    "A8192 ring": (A8192, RING32),
    "A8192 prime": (A8192, PRIME31),
}


@pytest.fixture(params=SETS.values(), ids=SETS)
def chosen(request):
    return request.param


@pytest.fixture(params=NATIVE.levels())
def level(request):
    """Runs a test with the kernels of each level."""
    best = NATIVE.level()
    NATIVE.select(request.param)
    yield request.param
    NATIVE.select(best)


def values_of(parameters, modulus):
    """Residues, the edges among them."""
    values = modulus.uniform(Prg(bytes(16)), parameters.degree).astype(np.uint64)
    values[:5] = 0, 1, modulus.value - 1, modulus.value // 2, modulus.value // 2 + 1
    return values


@pytest.mark.parametrize("sender", [SealSender, NativeSender])
@pytest.mark.parametrize("receiver", [SealReceiver, NativeReceiver])
def test_responses_decrypt_whoever_made_them(level, chosen, sender, receiver):
    """An input times one minus a mask: all four pairs of engines."""
    parameters, modulus = chosen
    keys, engine = receiver(parameters, modulus.value), sender(parameters, modulus.value)
    values = values_of(parameters, modulus)
    public = engine.request(keys.encrypt(np.zeros(parameters.degree, np.uint64)))
    one = np.eye(1, parameters.degree, dtype=np.int64)[0]
    positions = np.arange(0, parameters.degree, 5)
    mask = modulus.uniform(Prg(b"the mask's seed."), positions.size)
    mask[:2] = 0, modulus.value - 1
    request = engine.request(keys.encrypt(values))
    response = engine.respond(
        public, [request], [(0, engine.factor(one))], positions, mask, Prg(b"a sender's seed.")
    )
    share = keys.decrypt(response, positions)
    assert share.dtype == np.uint32
    np.testing.assert_array_equal(modulus.add(share, mask), values[positions].astype(np.uint32))


def bare(c1, c0, q):
    """A response of these words."""
    return pack_words(c1, q) + pack_words(c0, q)


def test_decryption_rounds_exactly(level, chosen):
    """Without c1: round(t c0 / q) modulo t, next to the messages and the borders between them as well."""
    parameters, modulus = chosen
    t, n, q = modulus.value, parameters.degree, context(parameters, modulus.value).primes[0]
    keys, rng = NativeReceiver(parameters, t), np.random.default_rng(0)
    c0 = rng.integers(0, q, n, dtype=np.uint64)
    ends = range(20), range(t - 20, t)
    borders = [
        k * q // (2 * t) + d for end in ends for i in end for k in (2 * i, 2 * i + 1) for d in (0, 1, 2)
    ]
    c0[: len(borders)] = borders
    expected = [(2 * t * c + q) // (2 * q) % t for c in c0.tolist()]
    response = bare(np.zeros(n, np.uint64), c0, q)
    assert keys.decrypt(response, np.arange(n)).tolist() == expected
    order = rng.permutation(n)[:100]
    some = bare(np.zeros(n, np.uint64), c0[order], q)
    assert keys.decrypt(some, order).tolist() == [expected[i] for i in order]


def test_a_request_is_its_message_and_a_small_error(monkeypatch, chosen):
    """With a secret key of one: c0 + c1 - round(q m / t) = -e, at every prime, e what was sampled."""
    parameters, modulus = chosen
    drawn = []
    sample = native_receiver.centred_binomial
    one = np.eye(1, parameters.degree, dtype=np.int64)[0]
    monkeypatch.setattr(native_receiver, "ternary", lambda prg, n: one)
    monkeypatch.setattr(native_receiver, "centred_binomial", lambda *a: drawn.append(sample(*a)) or drawn[-1])
    keys, seal = NativeReceiver(parameters, modulus.value), context(parameters, modulus.value)
    values = values_of(parameters, modulus)
    request = seal.unpack_request(keys.encrypt(values))
    seal.leave_ntt(request)
    c0, c1 = seal.words(request).astype(object)
    q = int(np.prod(np.array(seal.primes, object)))
    scaled = (q * 2 * values.astype(object) + modulus.value) // (2 * modulus.value)
    for i, prime in enumerate(seal.primes):
        np.testing.assert_array_equal((c0[i] + c1[i] - scaled + drawn[0]) % prime, 0)
    assert np.abs(drawn[0]).max() <= 21
    assert drawn[0].any()


def test_keys_and_requests_are_fresh():
    """New keys cannot read what others encrypt; seeds, errors and bodies never repeat."""
    first, second = (NativeReceiver(B4096, RING32.value) for _ in range(2))
    zero = np.zeros(4096, np.uint64)
    messages = [keys.encrypt(zero) for keys in (first, first, second)]
    assert len({m[-64:] for m in messages}) == len({m[:64] for m in messages}) == 3
    assert (first._secret != second._secret).any()


def test_the_key_is_ternary():
    """Back from its transform: every coefficient is -1, 0 or 1, each about as often."""
    keys, q = NativeReceiver(B4096, RING32.value), context(B4096, RING32.value).primes[0]
    # c1 = x^0 (q / t) and c0 = 0 decrypts to round(s), exactly s
    c1 = np.zeros(4096, np.uint64)
    c1[0] = q // RING32.value
    found = keys.decrypt(bare(c1, np.zeros(4096, np.uint64), q), np.arange(4096)).view(np.int32)
    counts = [np.count_nonzero(found == value) for value in (-1, 0, 1)]
    assert sum(counts) == 4096
    assert min(counts) > 4096 / 3 - 200


@pytest.mark.parametrize("half", ["c1", "c0"])
def test_responses_that_are_not_reduced_are_refused(level, half):
    keys, q = NativeReceiver(B4096, RING32.value), context(B4096, RING32.value).primes[0]
    c1, c0 = np.zeros(4096, np.uint64), np.zeros(9, np.uint64)
    (c1 if half == "c1" else c0)[-1] = q - 1
    keys.decrypt(pack_words(c1, q) + pack_words(c0, q), np.arange(9))
    (c1 if half == "c1" else c0)[-1] = q
    with pytest.raises(CheckFailed, match="not reduced"):
        keys.decrypt(pack_words(c1, q) + pack_words(c0, q), np.arange(9))


def test_the_engine_follows_the_kernels(monkeypatch):
    assert isinstance(receiver_backend(B4096, RING32.value), NativeReceiver)
    monkeypatch.setattr(kernels, "native", lambda: None)
    assert isinstance(receiver_backend(B4096, RING32.value), SealReceiver)
