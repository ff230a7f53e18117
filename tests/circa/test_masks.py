"""Masked activations: private equals simulated equals estimated, for both kinds; costs; what is refused."""

import base64
import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch
from estimates import check_estimate
from numpy.typing import NDArray
from programs import Builder, geometry, weights

import circa
from circa.description import from_json, to_json
from circa.device import DeviceProgram
from circa.errors import ParameterError
from circa.estimate import estimate
from circa.masked import protocol
from circa.masks import Bits, Mask, gather, scatter
from circa.model import ConvertedModel
from circa.program import Activate, Linear, Program, Reshape
from circa.protocols.relu import modulus_for
from circa.protocols.sign.window import Window
from circa.simulate import exact, simulate
from circa.summary import summary

SHAPE = (4, 6, 6)


def some(share: float, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random(shape) < share


def layer(mask: Mask | None, relu: str = "table", shift: int = 7, **fields: Any) -> Program:
    """An activation of the input alone."""
    modulus = modulus_for(relu)
    b = Builder(SHAPE, 12)
    window = Window(6, (9, 8, 7, 10)) if modulus.is_ring else None
    b.add(Activate, "relu", 0, shift=shift, window=window, mask=mask, **fields)
    return b.program(modulus, relu=relu)


def network(relu: str = "table") -> Program:
    """Masks of both kinds, with knots, without a shift, without any kept element, and an unmasked layer."""
    modulus = modulus_for(relu)
    window = Window(6, (9, 8, 7, 10)) if modulus.is_ring else None
    if relu == "table":
        window = Window(6, (9, 8, 7, 10), positive=((40, 30, 25, 36),))
    conv = geometry(SHAPE, 4, 3, padding=(1, 1, 1, 1))
    none = np.zeros(SHAPE, np.bool_)
    b = Builder(SHAPE, 8)
    x = 0
    for i, fields in enumerate(
        (
            {"shift": 7, "mask": Mask.of(some(0.4))},
            {"shift": 7, "mask": Mask.of(some(0.3, 1), "zero")},
            {"shift": 7},
            {"shift": 0, "mask": Mask.of(some(0.5, 2))},
            {"shift": 7, "mask": Mask.of(none)},
        )
    ):
        weight_bits = int(fields["shift"])  # type: ignore[call-overload]
        x = b.add(Linear, f"conv{i}", x, geometry=conv, weight_bits=weight_bits)
        first = i == 0 and modulus.is_ring
        knots = {"knots": (0, 3000), "coefs": (1, -1)} if first else {}
        own = Window(6, (9, 8, 7, 10)) if first else window
        x = b.add(Activate, f"relu{i}", x, window=own, **fields, **knots)
    x = b.add(Reshape, "flatten", x, shape=(144,))
    b.add(Linear, "fc", x, geometry=geometry((144, 1, 1), 3), weight_bits=7)
    return b.program(modulus, relu=relu)


@pytest.mark.parametrize("relu", ["table", "circa", "delphi", "window-garbled"])
def test_private_inference_is_the_simulation_and_costs_the_estimate(relu: str) -> None:
    program = network(relu)
    model = ConvertedModel(program, weights(program, bound=6))
    x = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(1))
    with circa.Server(model, port=0) as server, circa.connect(server.address, keep_shares=True) as session:
        private = session.infer(x)
        shares, report = session.last_shares, session.report
    assert {share.shape for share in shares.values()} == {(2, 4, 36)}
    assert torch.equal(private, model(x, client_shares=shares))
    check_estimate(report, estimate(program, 2))
    assert report.rows["relu0", "online"].rounds == report.rows["relu2", "online"].rounds


@pytest.mark.parametrize("others", ["identity", "zero"])
@pytest.mark.parametrize("shift", [0, 7])
def test_kept_elements_have_a_relu_and_the_others_are_shifted_or_zero(others: str, shift: int) -> None:
    kept = some(0.5)
    program = layer(Mask.of(kept, others), shift=shift)
    z = np.random.default_rng(3).integers(1 << 23, 1 << 27, (2, *SHAPE)) * np.where(some(0.5, 4), 1, -1)
    want = np.where(kept, np.maximum(z, 0), z if others == "identity" else 0) >> shift
    x = program.modulus.encode(z)
    assert (program.modulus.decode(exact(program, {}, x)) == want).all()
    model = ConvertedModel(program, {})
    share = program.modulus.encode(np.random.default_rng(5).integers(0, 1 << 31, (2, 4, 36)))
    simulated = program.modulus.decode(run_simulated(model, x, share))
    assert set(np.unique(simulated - want)) <= {-1, 0, 1}
    assert (simulated[:, ~kept] == 0).all() == (others == "zero")
    device = DeviceProgram(program, {}, torch.device("cpu"))
    on_device = device.run(torch.from_numpy(x.astype(np.int64)), {"relu": share})
    assert (on_device.numpy() == program.modulus.encode(simulated)).all()
    on_device = device.run(torch.from_numpy(x.astype(np.int64)), None, stochastic=False)
    assert (on_device.numpy() == program.modulus.encode(want)).all()


def run_simulated(model: ConvertedModel, x: NDArray[np.uint32], share: NDArray[np.uint32]) -> Any:
    return simulate(model.program, model.linear, x, {"relu": share})


def online_bytes(program: Program) -> int:
    return sum(
        row.bytes_sent + row.bytes_received
        for row in estimate(program).rows
        if (row.kind, row.phase) == ("activate", "online")
    )


@pytest.mark.parametrize("count", [8, 64, 136])
def test_costs_fall_with_the_kept_elements(count: int) -> None:
    """n = 6, f = 8: 18.25 bytes a sign test (design.md 5.3) and 9 bits a shifted element."""
    kept = (np.arange(144) < count).reshape(SHAPE)
    assert online_bytes(layer(Mask.of(kept, "zero"), shift=8)) == 18.25 * count
    assert online_bytes(layer(Mask.of(kept), shift=8)) == 18.25 * count + 1.125 * (144 - count)
    assert online_bytes(layer(Mask.of(kept), shift=0)) == 16.125 * count
    assert layer(Mask.of(kept)).relus == count
    assert f"{count} sign tests" in str(summary(layer(Mask.of(kept))).title)


@pytest.mark.parametrize("cells", [(32, 32, 32, 32), (3, 32, 60, 9)])
def test_every_channel_keeps_its_window(cells: tuple[int, ...]) -> None:
    """Values that fit the window of their own channel only."""
    window = Window(6, (1, 100, 1, 1), positive=(cells,))
    below, _ = window.reach()
    big = np.zeros(SHAPE, np.int64)
    big[0], big[1] = -min(1 << 29, below[0]), -below[1]
    program = layer(Mask.of(some(0.5), "zero"), shift=0)
    op = dataclasses.replace(program.activations[0], window=window)
    program = dataclasses.replace(program, operations=(program.operations[0], op))
    z = program.modulus.encode(big[None])
    share = program.modulus.encode(np.random.default_rng(5).integers(0, 1 << 31, (1, 4, 36)))
    y = run_simulated(ConvertedModel(program, {}), z, share)
    assert not y[:, :2].any()


def test_gather_and_scatter_are_inverse() -> None:
    share = np.arange(2 * 144, dtype=np.uint32).reshape(2, *SHAPE)
    places = np.flatnonzero(some(0.5))
    out = np.zeros_like(share)
    scatter(gather(share, places), places, out)
    assert (out == np.where(some(0.5), share, 0)).all()


def test_a_mask_travels_with_the_description() -> None:
    program = network()
    assert from_json(to_json(program)) == program
    mask = program.activations[0].mask
    assert mask is not None
    assert (mask.kept(SHAPE) == some(0.4)).all()
    large = np.zeros((64, 32, 32), np.bool_)
    large[0, 0, 1] = True
    assert Mask.of(large).kept(large.shape).sum() == Mask.of(large).count == 1


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"others": "one"}, "identity or zero, not 'one'"),
        ({"bits": "ä"}, "not base64"),
        ({"bits": "AAA"}, "not base64"),
        ({"bits": "AA=="}, "a mask of 8 bits for 144 elements"),
        ({"bits": base64.b64encode(b"\1" * 19).decode()}, "a mask of 152 bits for 144 elements"),
        ({"bits": base64.b64encode(b"\xff" * 18).decode()}, "keeps every element: leave it out"),
        ({"bits": 7}, "bits: expected Bits, got int"),
        ({"bits": "A" * 22 + "B="}, "not canonical"),
        ({"more": 1}, "unknown fields"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(change: dict[str, Any], match: str) -> None:
    described = json.loads(to_json(layer(Mask.of(some(0.5)))))
    described["operations"][1]["mask"].update(change)
    with pytest.raises(ParameterError, match=match):
        from_json(json.dumps(described, sort_keys=True, separators=(",", ":")).encode())


def test_padding_bits_are_zero() -> None:
    with pytest.raises(ParameterError, match="a mask of 8 bits for 5 elements"):
        Mask(Bits(base64.b64encode(b"\x21").decode())).kept((5,))


def test_a_rescale_takes_no_mask() -> None:
    program = layer(Mask.of(some(0.5)), knots=(), coefs=())
    with pytest.raises(ParameterError, match="without a sign test takes no mask"):
        protocol(program, program.activations[0])
