"""Calibration, fractional bits and windows: what is measured, what it is turned into, and the limits."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import Function, network
from torch import nn

from circa import convert
from circa.converter.calibrate import calibrate
from circa.converter.graph import Activate, Linear
from circa.converter.scales import LEAST_BITS, WEIGHT_UNITS, fitting_weight_bits
from circa.converter.windows import FLOOR, fill, limits
from circa.errors import CalibrationError
from circa.program import Add, Pool
from circa.program import Linear as IntegerLinear
from circa.protocols.sign.window import MODES

IMAGES = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def small_network() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(54, 8),
        nn.ReLU(),
        nn.Linear(8, 4),
    )


def ranges_of(model: nn.Module, x: torch.Tensor):
    nodes = network(model, x)
    return nodes, calibrate(nodes, x, lambda done, total: None)


def test_ranges_are_the_largest_over_all_chunks_of_the_batch():
    model = small_network()
    nodes, ranges = ranges_of(model, IMAGES)
    z = model[0](IMAGES).detach().double()
    first = next(node for node in nodes if isinstance(node, Activate))
    torch.testing.assert_close(ranges.low[first], z.amin((0, 2, 3)))
    torch.testing.assert_close(ranges.high[first], z.amax((0, 2, 3)))
    torch.testing.assert_close(ranges.far(first), z.abs().amax((0, 2, 3)))
    assert ranges.largest[nodes[-1]] == pytest.approx(model(IMAGES).abs().max().item(), rel=1e-6)
    assert ranges.largest[nodes[0]] == IMAGES.abs().max().item()


def test_the_range_of_an_activation_holds_its_knots():
    nodes, ranges = ranges_of(nn.ReLU6(), IMAGES - 10)
    low = IMAGES.amin((0, 2, 3)).double() - 10
    torch.testing.assert_close(ranges.low[nodes[1]], low)
    assert ranges.high[nodes[1]].tolist() == [6.0] * 3
    torch.testing.assert_close(ranges.far(nodes[1]), 6 - low)
    nodes, ranges = ranges_of(nn.ReLU6(), IMAGES + 10)
    assert ranges.low[nodes[1]].tolist() == [0.0] * 3
    torch.testing.assert_close(ranges.high[nodes[1]], IMAGES.amax((0, 2, 3)).double() + 10)


def test_progress_counts_images():
    seen = []
    nodes = network(nn.ReLU(), IMAGES)
    calibrate(nodes, IMAGES, lambda done, total: seen.append((done, total)))
    assert seen == [(32, 40), (40, 40)]


LOW = torch.tensor([-0.37, -4.0, -1.0], dtype=torch.float64)
HIGH = torch.tensor([0.37, 0.5, 2.5], dtype=torch.float64)


def windows(bits, mode="balanced", relu="table", per_channel=True, knots=(0,), low=LOW, high=HIGH):
    real = [knot / 2**20 for knot in knots]
    held = limits(low.clamp(max=min(real)), high.clamp(min=max(real)), real, 20, 1.25, per_channel)
    return held, fill(held, knots, bits, mode, relu)


@pytest.mark.parametrize(("bits", "mode"), [*itertools.product(range(2, 9), MODES)])
@pytest.mark.parametrize("knots", [(0,), (-(1 << 21), 0, 7 << 17)])
def test_the_range_fills_the_cells_of_a_table(bits, mode, knots):
    """It fits at every knot, and takes N - 2 cells but for the gain's rounding."""
    held, window = windows(bits, mode, knots=knots)
    low, high = np.minimum(held[0], min(knots)), np.maximum(held[1], max(knots))
    for j, knot in enumerate(knots):
        below, above = window.reach(j)
        assert (low - knot >= -below).all()
        assert (high - knot <= above).all()
    room = ((1 << bits) - 2) * window.width
    taken = np.array(window.gain) * (high - low)
    assert ((taken <= room) & (taken > 0.99 * room)).all()


def test_a_range_on_one_side_has_few_cells_on_the_other():
    _, window = windows(6)
    P = window.positive[0]
    assert P[0] == 32
    assert 1 < P[1] < 16
    assert 40 < P[2] < 60
    assert window.gain[1] > 1.5 * windows(6, relu="window-garbled")[1].gain[1]


@pytest.mark.parametrize("bits", [2, 6, 12])
@pytest.mark.parametrize("knots", [(0,), (-(1 << 21), 7 << 17), (1 << 21, 1 << 22)])
def test_the_range_fits_the_halves_of_a_comparator(bits, knots):
    held, window = windows(bits, relu="window-garbled", knots=knots)
    assert not window.positive
    below, above = window.reach()
    far = np.maximum(held[1] - min(knots), max(knots) - held[0])
    assert (far <= np.minimum(below, above)).all()
    assert (np.array(window.gain) * far > 0.99 * ((1 << 31) - window.width)).all()


def test_the_margin_is_added_at_both_ends():
    for knots, more in (((0.0,), [0.185, 2.0, 1.25]), ((0.0, 0.5), [0.185, 2.0, 1.0])):
        held = limits(LOW, HIGH.clamp(min=max(knots)), knots, 20, 1.5, per_channel=True) / 2.0**20
        np.testing.assert_allclose(held[0], LOW.numpy() - more, atol=3e-6)
        np.testing.assert_allclose(held[1], np.maximum(HIGH.numpy(), max(knots)) + more, atol=3e-6)


def test_one_window_for_the_layer_holds_the_ranges_of_all_its_channels():
    _, one = windows(6, per_channel=False)
    _, widest = windows(6, low=LOW.min().reshape(1), high=HIGH.max().reshape(1))
    assert one == widest


@pytest.mark.parametrize("dead", [0.0, 1e-30, 1e-4])
def test_dead_channels_get_a_floor(dead):
    low = torch.tensor([-3.0, 0.0], dtype=torch.float64)
    high = torch.tensor([1.0, dead], dtype=torch.float64)
    held, window = windows(6, low=low, high=high)
    np.testing.assert_allclose(held[1, 1] / 2**20, 3 * FLOOR * 1.25, rtol=0.01)
    np.testing.assert_allclose(held[0, 1] / 2**20, -3 * FLOOR * 1.25, rtol=0.01)
    assert window.positive[0][1] == 32


def test_a_dead_channel_breaks_nothing():
    model = small_network()
    nn.init.zeros_(model[0].weight[2])
    nn.init.constant_(model[0].bias[2:4], -100.0)  # one channel is always -100, another always far below zero
    converted = convert(model, IMAGES)
    with torch.no_grad():
        assert (converted(IMAGES).argmax(1) == model(IMAGES).argmax(1)).float().mean() > 0.9


def test_shifts_and_scales():
    converted = convert(small_network(), IMAGES, input_bits=9, activation_bits=10, weight_bits=8)
    ops = {op.name: op for op in converted.program.operations}
    assert (ops["input"].frac_bits, ops["0"].frac_bits, ops["0"].weight_bits) == (9, 17, 8)
    assert (ops["1"].shift, ops["1"].frac_bits) == (7, 10)
    assert [op.frac_bits for op in converted.program.operations if isinstance(op, Pool)] == [12]
    assert (ops["4"].frac_bits, ops["5"].shift) == (20, 10)


def test_a_convolution_behind_a_relu_shifts_by_the_weight_bits():
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 4)
    )
    assert [op.shift for op in convert(model, IMAGES, weight_bits=9).program.activations] == [9, 9]


def test_a_residual_sum_aligns_the_finer_operand():
    model = Function(lambda x, m: F.relu(m.b(F.relu(m.a(x))) - F.relu(m.a(x))),
                     a=nn.Conv2d(3, 3, 1), b=nn.Conv2d(3, 3, 1))  # fmt: skip
    add = next(op for op in convert(model, IMAGES).program.operations if isinstance(op, Add))
    assert add.factors == (1, -1024)


def test_large_ranges_lower_the_bits_of_the_values_before_them():
    model = small_network()
    model[4].weight.data *= 400
    plain, scaled = convert(small_network(), IMAGES), convert(model, IMAGES)
    first = [c.program.activations[0].frac_bits for c in (plain, scaled)]
    assert first[0] == 12
    assert LEAST_BITS <= first[1] < 12
    for converted in (plain, scaled):
        for op in converted.program.activations:
            assert max(map(np.max, op.window.reach())) < 1 << 30


def test_the_layer_that_does_not_fit_is_named_with_a_remedy():
    model = small_network()
    model[0].weight.data *= 30
    model[4].weight.data *= 900
    with pytest.raises(
        CalibrationError, match=r"^6: a range of .* fractional bits to 5: use fewer weight_bits"
    ):
        convert(model, IMAGES, weight_bits=14)


def layer(scale: float) -> Linear:
    weight = torch.full((2, 2, 1, 1), scale, dtype=torch.float64)
    return Linear("fc", [], (2,), (1, 1), weight, torch.zeros(2, dtype=torch.float64))


def test_weight_bits_follow_the_size_of_the_weights():
    assert fitting_weight_bits(layer(0.1), 8) == 8
    few = fitting_weight_bits(layer(1e-3), 8)
    assert WEIGHT_UNITS <= 1e-3 * 2**few < 2 * WEIGHT_UNITS
    assert fitting_weight_bits(layer(0.0), 8) == 8
    assert fitting_weight_bits(layer(200.0), 8) == 7
    with pytest.raises(CalibrationError, match=r"fc: .*16 bits"):
        fitting_weight_bits(layer(4e4), 8)


def test_weights_and_biases_are_rounded_to_nearest():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 4))
    converted = convert(model, IMAGES)
    for op in converted.program.linear:
        assert isinstance(op, IntegerLinear)
        real = model.get_submodule(op.name)
        weight, bias = converted.weights[f"{op.name}.weight"], converted.weights[f"{op.name}.bias"]
        off = torch.from_numpy(weight[:, :, 0, 0]) * 2.0**-op.weight_bits - real.weight.double()
        assert off.abs().max() <= 2.0 ** -(op.weight_bits + 1)
        off = torch.from_numpy(bias) * 2.0**-op.frac_bits - real.bias.double()
        assert off.abs().max() <= 2.0 ** -(op.frac_bits + 1)


def test_the_client_may_send_what_is_a_little_beyond_the_calibration():
    converted = convert(small_network(), IMAGES)
    entry = converted.program.input
    assert entry.limit * 2.0**-entry.frac_bits == pytest.approx(16 * IMAGES.abs().max().item(), rel=1e-3)
    assert math.log2(entry.limit) < 30


def test_a_branch_that_is_always_zero_costs_no_bits():
    model = Function(lambda x, m: F.relu(x) + m.nothing(x), nothing=nn.Conv2d(3, 3, 1))
    nn.init.zeros_(model.nothing.weight)
    nn.init.zeros_(model.nothing.bias)
    converted = convert(model, IMAGES)
    assert (converted(IMAGES, stochastic=False) - IMAGES.relu()).abs().max() < 1e-3


def test_the_logits_fill_a_quarter_of_the_modulus_at_most():
    """Two linear layers behind the last activation: its bits are what the logits leave."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.ReLU(), nn.Linear(6, 6), nn.Linear(6, 3))
    for _ in range(12):
        converted = convert(model, IMAGES)
        with torch.no_grad():
            largest = 1.25 * model(IMAGES).abs().max().item() * 2.0**converted.program.output.frac_bits
        assert largest <= 1 << 30
        if converted.program.activations[0].frac_bits < 12:  # one bit more would be too many
            assert largest > 1 << 29
            break
        model[4].weight.data *= 2
        model[4].bias.data *= 2
    else:
        pytest.fail("the logits never reached their limit")


def test_rows_of_features_calibrate():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert convert(model, IMAGES[:, :, 0, 0]).program.input.shape == (3,)
