"""The native engine against SEAL: the same bytes from the same seed, the same refusals."""

import threading
from functools import cache

import numpy as np
import pytest
from convolution import LAYERS

from circa.protocols import kernels
from circa.protocols.channel import memory_pair
from circa.protocols.errors import CheckFailed, FramingError
from circa.protocols.linear import he
from circa.protocols.linear import weights as weights_module
from circa.protocols.linear.backend import SenderBackend, sender_backend
from circa.protocols.linear.encoding import encode_weights
from circa.protocols.linear.native_sender import NativeSender
from circa.protocols.linear.parameters import A8192, B4096
from circa.protocols.linear.plan import make_plan
from circa.protocols.linear.seal import Keys, context
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


@pytest.fixture(params=NATIVE.levels())
def level(request):
    """Runs a test with the kernels of each level."""
    best = NATIVE.level()
    NATIVE.select(request.param)
    yield request.param
    NATIVE.select(best)


@pytest.fixture(scope="module")
def requests():
    """A public key and three requests for each parameter set and modulus, made once."""
    found = {}
    for name, (parameters, modulus) in SETS.items():
        keys = Keys(context(parameters, modulus.value))
        uniform = modulus.uniform(Prg(bytes(16)), 2 * parameters.degree).astype(np.uint64)
        edges = (
            np.zeros(parameters.degree, np.uint64),
            np.full(parameters.degree, modulus.value - 1, np.uint64),
        )
        found[name] = [keys.encrypt(values) for values in (edges[0], *np.split(uniform, 2), edges[1])]
    return found


def engines(name):
    parameters, modulus = SETS[name]
    return [SealSender(parameters, modulus.value), NativeSender(parameters, modulus.value)]


def polynomials(degree):
    """Weights: random of 16 bits, their largest and smallest, a single one at either end."""
    rng = np.random.default_rng(4)
    ends = np.zeros((2, degree), np.int64)
    ends[0, 0], ends[1, -1] = 1, -1
    most = [np.full(degree, value) for value in ((1 << 15) - 1, -(1 << 15))]
    return [*rng.integers(-(1 << 15), 1 << 15, (3, degree)), *most, *ends]


ROWS = {
    "empty": [],
    "one": [(2, 3)],
    "each request once": [(0, 0), (1, 1), (2, 2)],
    "many": [(i % 3, i % 7) for i in range(17)],
    "the edges": [(0, 5), (2, 4), (1, 6)],
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("name", SETS)
def test_responses_are_those_of_seal(level, requests, name, row):
    parameters, modulus = SETS[name]
    key, *messages = requests[name]
    positions = np.sort(np.random.default_rng(5).permutation(parameters.degree)[:777])
    mask = modulus.uniform(Prg(bytes(16)), positions.size)
    mask[:3] = 0, modulus.value - 1, modulus.value // 2
    given = []
    for engine in engines(name):
        factors = [engine.factor(p) for p in polynomials(parameters.degree)]
        held = [engine.request(message) for message in messages]
        chosen = [(block, factors[i]) for block, i in row]
        prg = Prg(b"a sender's seed.")
        given.append((engine.respond(engine.request(key), held, chosen, positions, mask, prg), prg.bytes(16)))
    (expected, after), (ours, ours_after) = given
    assert ours == expected
    np.testing.assert_array_equal(ours_after, after)


@pytest.mark.parametrize("count", [0, 1, "all"])
@pytest.mark.parametrize("name", SETS)
def test_any_number_of_positions(level, requests, name, count):
    parameters, modulus = SETS[name]
    positions = np.arange(parameters.degree if count == "all" else count)
    mask = modulus.uniform(Prg(bytes(16)), positions.size)
    given = [
        engine.respond(engine.request(requests[name][0]), [], [], positions, mask, Prg(b"a sender's seed."))
        for engine in engines(name)
    ]
    assert given[0] == given[1]


@pytest.mark.parametrize("name", ["3x3", "stride", "depthwise", "groups", "fully connected"])
def test_layers_are_those_of_seal(name, requests):
    shape = LAYERS[name]
    rng = np.random.default_rng(6)
    weights = rng.integers(-(1 << 15), 1 << 15, shape.weight_shape)
    plan = make_plan(shape, 2, B4096)
    key, *messages = requests["B4096 ring"]
    given = []
    for engine in engines("B4096 ring"):
        prg, out = Prg(b"a sender's seed."), []
        held = [engine.request(messages[i % 3]) for i in range(plan.channel_blocks)]
        for m in range(plan.output_blocks):
            rows = zip(plan.read(m), encode_weights(plan, weights, m), strict=True)
            row = [(block, engine.factor(p)) for block, p in rows if p.any()]
            positions = plan.positions(plan.blocks[0], m)
            mask = RING32.uniform(prg, positions.size)
            out.append(engine.respond(engine.request(key), held, row, positions, mask, prg))
        given.append(out)
    assert given[0] == given[1]


def test_requests_and_factors_take_the_same_memory():
    for engine in engines("A8192 ring"):
        assert isinstance(engine, SenderBackend)
    engine = engines("A8192 ring")[1]
    assert engine.factor(np.zeros(8192, np.int64)).nbytes == A8192.plaintext_bytes
    keys = Keys(context(A8192, RING32.value))
    assert engine.request(keys.encrypt(np.zeros(8192, np.uint64))).nbytes == A8192.ciphertext_bytes


def spoilt(message, at):
    """All ones in eight bytes: a coefficient that is not reduced."""
    return message[:at] + b"\xff" * 8 + message[at + 8 :]


BAD = {
    "short": (lambda m: m[:-1], FramingError),
    "long": (lambda m: m + b"\0", FramingError),
    "empty": (lambda m: b"", FramingError),
    "first prime": (lambda m: spoilt(m, 0), CheckFailed),
    "second prime": (lambda m: spoilt(m, 4096 * 46 // 8), CheckFailed),
    "last coefficient": (lambda m: spoilt(m, 4096 * 106 // 8 - 8), CheckFailed),
}


@pytest.mark.parametrize(("spoil", "expected"), BAD.values(), ids=BAD)
def test_malformed_requests_are_refused(level, requests, spoil, expected):
    engine = engines("B4096 ring")[1]
    message = requests["B4096 ring"][0]
    engine.request(message)
    with pytest.raises(expected):
        engine.request(spoil(message))


@pytest.mark.parametrize("fill", [b"\0", b"\x5a"])
def test_any_seed_is_one(level, requests, fill):
    """Zeros and repeated bytes expand as SEAL expands them."""
    key = requests["B4096 ring"][0][:-64] + 64 * fill
    given = [
        engine.respond(engine.request(key), [], [], np.arange(9), np.zeros(9, np.uint32), Prg(bytes(16)))
        for engine in engines("B4096 ring")
    ]
    assert given[0] == given[1]


def test_threads_share_an_engine(requests):
    engine = engines("B4096 ring")[1]
    key, *messages = requests["B4096 ring"]
    public, held = engine.request(key), [engine.request(message) for message in messages]
    row = [(i % 3, engine.factor(p)) for i, p in enumerate(polynomials(4096))]

    def work(_=None):
        for seed in range(8):
            prg = Prg(seed.to_bytes(16, "little"))
            yield engine.respond(public, held, row, np.arange(100), np.zeros(100, np.uint32), prg)

    expected, found = list(work()), {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: list(work())})) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [expected] * 4


def test_the_engine_follows_the_kernels(monkeypatch):
    sender_backend.cache_clear()
    try:
        assert isinstance(sender_backend(B4096, RING32.value), NativeSender)
        assert sender_backend(B4096, RING32.value).parallel
        monkeypatch.setattr(kernels, "native", lambda: None)
        sender_backend.cache_clear()
        assert isinstance(sender_backend(B4096, RING32.value), SealSender)
    finally:
        sender_backend.cache_clear()


def test_a_session_runs_on_either_engine(monkeypatch):
    """The receiver cannot tell: the whole transcript is the same."""
    shape, sent = LAYERS["3x3"], []
    weights = np.random.default_rng(7).integers(-9, 9, shape.weight_shape)
    r = RING32.uniform(Prg(bytes(16)), (1, *shape.input_shape))
    _, right = memory_pair()
    right.record()
    receiver = he.LinearReceiver(RING32)
    receiver.setup(right)
    receiver.request(right, shape, r)
    for engine in (SealSender, NativeSender):
        with monkeypatch.context() as patch:
            for module in (he, weights_module):
                patch.setattr(module, "sender_backend", cache(engine))
            ours, theirs = memory_pair()
            ours.record()
            for message in right.sent:
                theirs.send(message)
            sender = he.LinearSender(RING32, Prg(b"a sender's seed."))
            sender.setup(ours)
            sender.respond(ours, sender.prepare(RING32, shape, weights), 1)
            sent.append(list(ours.sent))
    assert sent[0] == sent[1]
