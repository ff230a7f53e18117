"""The simulator: equal to the protocol's arithmetic on both shares, and its law is the sign test's."""

import weakref
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from programs import Builder, geometry, residual, weights

from circa.errors import InputError, ParameterError
from circa.exact import ExactLinear
from circa.local import run_local
from circa.model import ConvertedModel
from circa.program import Activate, Input, Linear, Program, Reshape, Slice
from circa.protocols import relu
from circa.protocols.shares import RING32
from circa.protocols.sign.window import Window, positive_probability
from circa.simulate import chunk_size, exact, last_uses, simulate


def build(program: Program, seed: int = 0) -> ConvertedModel:
    return ConvertedModel(program, weights(program, seed))


def two_parties(
    model: ConvertedModel, x: NDArray[np.uint32], z_c: dict[str, NDArray[np.uint32]], rng: np.random.Generator
) -> NDArray[np.uint32]:
    """Both parties' walks: the client's shares are fixed first (those that enter an activation are given),
    the server's follow. The linear layers' masks are what makes the client's shares come out as given.
    """
    program, modulus = model.program, model.program.modulus
    protocol = relu.by_name(program.relu)
    client: list[NDArray[np.uint32]] = []
    server: list[NDArray[np.uint32]] = []
    feeds = {op.inputs[0]: op for op in program.activations}
    for i, op in enumerate(program.operations):
        c, s = [client[j] for j in op.inputs], [server[j] for j in op.inputs]
        shape = (x.shape[0], *op.shape)
        if isinstance(op, Input):
            value_c = rng.integers(0, modulus.value, shape, dtype=np.uint32)
            value_s = modulus.sub(x, value_c)
        elif isinstance(op, Linear):
            value_c = rng.integers(0, modulus.value, shape, dtype=np.uint32)
            if i in feeds:
                value_c = z_c[feeds[i].name].reshape(shape)
            plain = ExactLinear(op, model.weights[f"{op.name}.weight"], None, modulus)
            mask = modulus.sub(plain(c[0]), value_c)  # s, with W r - s at the client
            value_s = modulus.add(model.linear[op.name](s[0]), mask)
        elif isinstance(op, Activate):
            act = op.activation(modulus)
            z = (part[0].reshape(act.shape(x.shape[0])) for part in (s, c))
            y = protocol.simulate(act, *z).reshape(shape)
            value_c = rng.integers(0, modulus.value, shape, dtype=np.uint32)
            value_s = modulus.sub(y, value_c)
        else:
            value_c, value_s = run_local(op, c, modulus), run_local(op, s, modulus)
        client.append(value_c)
        server.append(value_s)
    return modulus.add(client[-1], server[-1])


def test_equal_to_both_walks_given_the_client_shares() -> None:
    rng = np.random.default_rng(0)
    model = build(residual())
    x = torch.from_numpy(rng.normal(size=(5, 2, 6, 6)))
    shares = {
        op.name: rng.integers(0, 1 << 32, (5, 4, op.elements // 4), dtype=np.uint32)
        for op in model.program.activations
    }
    want = two_parties(model, model.encode(x), shares, rng)
    assert torch.equal(model(x, shares), torch.from_numpy(model.decode(want)))


def test_exact_is_the_fixed_point_network() -> None:
    """Against int64 torch, operation by operation, for the parts of `residual` that torch has."""
    model = build(residual())
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 2, 6, 6)))
    w = {name: torch.from_numpy(array) for name, array in model.weights.items()}
    value = torch.round(x * 256).long()
    short = torch.nn.functional.pad(value, (0, 0, 0, 0, 1, 1)) * 2
    y = torch.nn.functional.conv2d(value, w["conv1.weight"], w["conv1.bias"], padding=1).clamp(min=0) >> 7
    y = torch.cat([2 * y - short] * 2, 1) * (torch.arange(288).view(8, 6, 6) % 5 > 0)
    y = torch.nn.functional.pad(y, (0, 1, 0, 1))
    y = (
        torch.nn.functional.conv2d(y, w["conv2.weight"], w["conv2.bias"], stride=2, groups=2).clamp(min=0)
        >> 6
    )
    y = torch.nn.functional.avg_pool2d(y.double(), 2, 1, divisor_override=1).long().flatten(1)
    y = y @ w["fc.weight"].flatten(1).T + w["fc.bias"]
    assert torch.equal(model(x, stochastic=False), y * 2.0**-18)


def test_outside_the_fault_interval_only_the_last_unit_is_random() -> None:
    window = Window(6, (16, 9), "balanced")
    b = Builder((2, 500, 20), 12)
    b.add(Activate, "relu", 0, shift=7, window=window)
    program = b.program()
    rng = np.random.default_rng(1)
    size = rng.integers(1 << 22, (1 << 27) - (1 << 22), (1, 2, 500, 20))
    z = RING32.encode(np.where(rng.integers(0, 2, size.shape), size, -size))
    noisy, right = (RING32.decode(run(program, z)) for run in (run_simulated, run_exact))
    assert set(np.unique(noisy - right)) == {-1, 0}
    assert (noisy[right == 0] == 0).all()


def run_simulated(program: Program, z: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return simulate(program, {}, z, np.random.default_rng(2))


def run_exact(program: Program, z: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return exact(program, {}, z)


def test_exact_knots() -> None:
    """ReLU6 as two knots, at integers that the shift does not divide."""
    b = Builder((1, 1, 1000), 0)
    window = Window(6, (1,), "balanced")
    b.add(Activate, "relu6", 0, shift=2, window=window, knots=(-3, 601), coefs=(1, -1))
    z = np.arange(-500, 1500).reshape(2, 1, 1, 1000)
    y = RING32.decode(run_exact(b.program(), RING32.encode(z)))
    np.testing.assert_array_equal(y, (np.maximum(z + 3, 0) >> 2) - (np.maximum(z - 601, 0) >> 2))


def test_the_law_of_the_sign_test() -> None:
    """Frequencies over uniform shares against the closed form, at many x: within five sigma."""
    window = Window(4, (96,), "balanced")
    b = Builder((1, 1, 1), 0)
    b.add(Activate, "relu", 0, shift=0, window=window)
    program = b.program()
    trials = 4000
    for x in [-900_000, -(1 << 20), -700_000, -300_000, 0, 1, 200_000, 700_000, 1_300_000, 1_500_000]:
        z = np.full((trials, 1, 1, 1), x % (1 << 32), np.uint32)
        y = RING32.decode(simulate(program, {}, z, np.random.default_rng(x % 997)))
        assert set(np.unique(y)) <= {0, x}
        p = float(positive_probability(x, 96, 4, "balanced"))
        if x:
            assert abs((y == x).mean() - p) <= 5 * np.sqrt(max(p * (1 - p), 1e-12) / trials)


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(residual())
    rng = np.random.default_rng(5)
    x = torch.from_numpy(rng.normal(size=(7, 2, 6, 6)))
    shares = {
        op.name: rng.integers(0, 1 << 32, (7, 4, op.elements // 4), dtype=np.uint32)
        for op in model.program.activations
    }
    want, want_exact = model(x, shares), model(x, stochastic=False)
    monkeypatch.setattr("circa.simulate.LIVE_BYTES", 4 * 1700)
    assert 1 < chunk_size(model.program) < 7
    assert torch.equal(model(x, shares), want)
    assert torch.equal(model(x, stochastic=False), want_exact)


def test_chunk_size_counts_what_is_alive() -> None:
    b = Builder((4, 8, 8), 0)
    b.add(Linear, "a", 0, geometry=geometry((4, 8, 8), 8), weight_bits=0)
    b.add(Linear, "b", 1, geometry=geometry((8, 8, 8), 2), weight_bits=0)
    b.add(Linear, "c", 0, geometry=geometry((4, 8, 8), 7), weight_bits=0)
    assert chunk_size(b.program()) == (1 << 23) // (4 * (4 + 8 + 2) * 64)


def test_a_seed_repeats_a_run() -> None:
    model = build(residual())
    x = torch.from_numpy(np.random.default_rng(2).normal(size=(9, 2, 6, 6)))
    runs = [model(x, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    torch.manual_seed(3)
    first = model(x)
    torch.manual_seed(3)
    assert torch.equal(model(x), first)
    assert not torch.equal(model(x), first)


def test_watch_sees_every_value() -> None:
    model = build(residual())
    seen: dict[int, Any] = {}
    x = model.encode(torch.zeros(2, 2, 6, 6))
    out = exact(model.program, model.linear, x, lambda i, value: seen.update({i: value.shape}))
    assert seen == {i: (2, *op.shape) for i, op in enumerate(model.program.operations)}
    assert out.shape == (2, 3)


def test_values_are_freed_after_their_last_reader() -> None:
    model = build(residual())
    program = model.program
    alive: dict[int, Any] = {}
    viewed = {j for op in program.operations if isinstance(op, Reshape | Slice) for j in op.inputs}

    def watch(i: int, value: NDArray[np.uint32]) -> None:
        for j, uses in last_uses(program).items():
            assert uses >= i or j in viewed or alive[j]() is None
        alive[i] = weakref.ref(value)

    simulate(program, model.linear, model.encode(torch.zeros(1, 2, 6, 6)), np.random.default_rng(0), watch)


def test_shares_that_do_not_fit_are_refused() -> None:
    model = build(residual())
    x = torch.zeros(2, 2, 6, 6)
    shares = {op.name: np.zeros((2, 4, op.elements // 4), np.uint32) for op in model.program.activations}
    for name, bad in [
        ("relu2", None),
        ("relu1", shares["relu1"][:1]),
        ("relu1", shares["relu1"].reshape(2, 36, 4)),
        ("relu2", shares["relu2"].astype(np.int64)),
    ]:
        given = {key: value for key, value in {**shares, name: bad}.items() if value is not None}
        with pytest.raises(ParameterError, match=name):
            model(x, given)


def test_model_round_trip_through_a_file(tmp_path: Any) -> None:
    model = build(residual(labels=("a", "b", "c")))
    model.save(tmp_path / "m.circa")
    loaded = ConvertedModel.load(tmp_path / "m.circa")
    x = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    assert loaded.program == model.program
    assert torch.equal(loaded(x, stochastic=False), model(x, stochastic=False))
    assert "2 operations" not in repr(loaded)
    assert "3 linear layers" in repr(loaded)


def test_model_refuses_bad_weights_and_inputs() -> None:
    program = residual()
    with pytest.raises(ParameterError, match="weight is missing"):
        ConvertedModel(program, {k: v for k, v in weights(program).items() if k != "fc.weight"})
    model = build(program)
    with pytest.raises(InputError, match="NaN"):
        model(torch.full((1, 2, 6, 6), torch.nan))
    assert model(torch.zeros(1, 2, 6, 6, dtype=torch.bfloat16)).dtype == torch.float64
    assert not list(model.parameters())


def test_an_array_is_as_good_as_a_tensor() -> None:
    model = build(residual())
    x = torch.randn(2, 2, 6, 6)
    assert torch.equal(model(x.numpy(), stochastic=False), model(x, stochastic=False))
    with pytest.raises(InputError, match="not a NoneType"):
        model(None)


def test_an_activation_without_knots_only_rescales() -> None:
    b = Builder((2, 30, 10), 9)
    b.add(Activate, "rescale", 0, shift=5, window=None, knots=(), coefs=())
    z = np.random.default_rng(0).integers(-(1 << 28), 1 << 28, (1, 2, 30, 10))
    noisy, right = (RING32.decode(run(b.program(), RING32.encode(z))) for run in (run_simulated, run_exact))
    np.testing.assert_array_equal(right, z >> 5)
    assert set(np.unique(noisy - right)) == {-1, 0}
