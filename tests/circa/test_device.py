"""The simulator on a device: bit for bit what the host computes. On the CPU here, and on a GPU where there is
one.
"""

import numpy as np
import pytest
import torch
from programs import Builder, geometry, residual, weights

from circa.device import DeviceProgram, run_local
from circa.local import run_local as run_local_host
from circa.model import ConvertedModel
from circa.program import Activate, Add, Linear, Pad, Pool, Program, Scale
from circa.protocols.relu import NAMES, WINDOWED
from circa.protocols.shares import PRIME31, RING32, Modulus
from circa.protocols.sign.window import Window

PRIME = [name for name in NAMES if name not in WINDOWED]
CUDA = pytest.param("cuda", marks=[pytest.mark.gpu])


@pytest.fixture(params=["cpu", CUDA])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device(request.param)


def compare(program: Program, device: torch.device, scale: float = 1.0, bound: int = 40) -> None:
    rng = np.random.default_rng(0)
    model = ConvertedModel(program, weights(program, bound=bound))
    x = torch.from_numpy(rng.normal(size=(3, *program.input.shape)) * scale)
    shares = {
        op.name: rng.integers(
            0, program.modulus.value, (3, op.shape[0], op.elements // op.shape[0]), dtype=np.uint32
        )
        for op in program.activations
    }
    there = DeviceProgram(program, model.weights, device)
    residues = torch.from_numpy(model.encode(x).astype(np.int64)).to(device)
    for stochastic in (True, False):
        y = there.run(residues, shares, stochastic).cpu().numpy().astype(np.uint32)
        np.testing.assert_array_equal(model.decode(y), model(x, shares, stochastic=stochastic).numpy())


@pytest.mark.parametrize("bits", [3, 6, 8])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_equal_to_the_host(device: torch.device, bits: int, scale: float) -> None:
    compare(residual(bits=bits), device, scale)


def test_weights_that_need_two_limbs(device: torch.device) -> None:
    b = Builder((600, 5, 5), 2)
    x = b.add(Linear, "conv", 0, geometry=geometry((600, 5, 5), 3, 3, stride=(2, 1)), weight_bits=0)
    b.add(Scale, "out", x, factor=-1)
    compare(b.program(), device, bound=32767)
    compare(b.program(PRIME31), device, bound=32767)


@pytest.mark.parametrize(
    ("name", "modulus"), [(name, RING32) for name in NAMES] + [(name, PRIME31) for name in PRIME]
)
def test_every_protocol(device: torch.device, name: str, modulus: Modulus) -> None:
    b = Builder((3, 4, 5), 10)
    needs_window = name in WINDOWED
    knots = {"knots": (0, 700), "coefs": (1, -1)} if name != "rescale" else {"knots": (), "coefs": ()}
    window = Window(6, (1000, 999, 2000), "balanced") if needs_window else None
    if name == "table":
        window = Window(6, (1000, 999, 2000), "balanced", ((50, 7, 32), (40, 3, 20)))
    b.add(Activate, "relu", 0, shift=4, window=window, **knots)
    program = b.program(modulus, relu=name)
    compare(program, device, scale=20)


def test_a_seed_repeats_a_run(device: torch.device) -> None:
    program = residual()
    there = DeviceProgram(program, weights(program), device)
    x = torch.zeros(4, 2, 6, 6, dtype=torch.int64, device=device)
    runs = [there.run(x, torch.Generator(device).manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_pooling_padding_and_wrapping(device: torch.device) -> None:
    b = Builder((2, 6, 7), 0)
    b.add(Pool, "pool", 0, kernel=(3, 2), stride=(2, 3), padding=(1, 0))
    b.add(Pad, "pad", 0, padding=(1, 0, 2, 3, 0, 4))
    b.add(Add, "add", 0, 0, 0, factors=(1 << 30, -(1 << 30), -(1 << 30)))
    rng = np.random.default_rng(0)
    for modulus in (RING32, PRIME31):
        x = rng.integers(0, modulus.value, (2, 2, 6, 7), dtype=np.uint32)
        for op in b.operations[1:]:
            operands = [x] * len(op.inputs)
            there = run_local(
                op, [torch.from_numpy(v.astype(np.int64)).to(device) for v in operands], modulus
            )
            np.testing.assert_array_equal(there.cpu().numpy(), run_local_host(op, operands, modulus))


@pytest.mark.gpu
def test_a_model_runs_where_its_input_is() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    program = residual()
    model = ConvertedModel(program, weights(program))
    x = torch.randn(5, 2, 6, 6)
    there = model(x.cuda(), stochastic=False)
    assert there.is_cuda
    assert torch.equal(there.cpu(), model(x, stochastic=False))
