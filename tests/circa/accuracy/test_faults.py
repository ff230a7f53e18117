"""Faults by layer: the law against what a simulation counts; values outside the window."""

import dataclasses
import math

import numpy as np
import pytest

import circa
from circa.accuracy import fault_rates, with_truncation, with_windows
from circa.accuracy.draws import Drawn
from circa.accuracy.faults import measured, outside, predicted
from circa.masks import Mask
from circa.simulate import simulate

SIGMAS = 5.0


def seen(model, x, seed=3):
    """Every activation's operand in a simulated run, as signed integers, and the shares of that run."""
    shares, values = Drawn(model.program, slice(0, len(x)), seed), {}
    simulate(model.program, model.linear, model.encode(x), shares, lambda i, v: values.update({i: v}))
    ops = model.program.activations
    shape = {op.name: op.activation(model.program.modulus).shape(len(x)) for op in ops}
    decode = model.program.modulus.decode
    return [
        (op, decode(np.ascontiguousarray(values[op.inputs[0]])).reshape(shape[op.name])) for op in ops
    ], shares


@pytest.mark.parametrize("mode", ["balanced", "poszero", "negpass"])
def test_counted_faults_follow_the_law_in_every_layer(converted, test_images, mode):
    model = with_windows(converted, 4, mode)
    layers, shares = seen(model, test_images)
    for op, z in layers:
        law, count = predicted(model.program, op, z), measured(model.program, op, z, shares[op.name])
        one = np.clip(law, 0, 1)
        spread = math.sqrt((one * (1 - one)).sum() + 1)
        assert abs(count.sum() - law.sum()) < SIGMAS * spread
        assert law.sum() > 100  # there is something to compare
        assert not count[law == 0].any()
        positive_side = z[(count > 0) & ~outside(op, z)] >= 0
        if mode == "poszero" and len(op.knots) == 1:
            assert positive_side.all()
        if mode == "negpass" and len(op.knots) == 1:
            assert not positive_side.any()


@pytest.mark.parametrize("mode", ["poszero", "negpass"])
def test_the_published_test_follows_its_law_too(converted, test_images, mode):
    model = with_truncation(converted, 21, mode)
    layers, shares = seen(model, test_images)
    for op, z in layers:
        law, count = predicted(model.program, op, z), measured(model.program, op, z, shares[op.name])
        assert abs(count.sum() - law.sum()) < SIGMAS * math.sqrt((law * (1 - law)).sum() + 1)
        assert law.sum() > 500


def test_predicted_from_the_exact_network_counted_in_a_run(converted, test_images):
    layers, leaving = fault_rates(
        converted.program, converted.linear, converted.encode(test_images), 0, lambda n: None
    )
    assert [layer.layer for layer in layers] == [op.name for op in converted.program.activations]
    assert [layer.tests for layer in layers] == [150 * 216, 2 * 150 * 216, 150 * 32]
    assert all(layer.images == 150 and layer.window == "n = 6 balanced" for layer in layers)
    first = layers[0]  # nothing before it is random
    assert abs(first.measured - first.predicted) < SIGMAS * math.sqrt(first.predicted)
    for layer in layers:
        assert layer.measured_rate == pytest.approx(layer.predicted_rate, rel=0.1)
    assert leaving >= max(layer.images_outside for layer in layers)


def test_what_a_mask_drops_has_no_faults(converted, test_images):
    x, program = converted.encode(test_images[:50]), converted.program
    op = program.activations[0]
    place, kept = program.operations.index(op), np.zeros(op.shape, np.bool_)
    kept[:, ::3] = True
    only = [*program.operations]
    only[place] = dataclasses.replace(op, mask=Mask.of(kept, "zero"))
    masked = dataclasses.replace(program, operations=tuple(only))
    whole, part = (fault_rates(p, converted.linear, x, 0, lambda n: None)[0][0] for p in (program, masked))
    assert part.tests == 50 * kept.sum() == whole.tests / 3
    assert 0 < part.measured < whole.measured / 2
    assert 0 < part.predicted < whole.predicted / 2


def test_finer_windows_err_less(converted, test_images):
    x = converted.encode(test_images[:50])
    rates = [
        fault_rates(m.program, m.linear, x, 0, lambda n: None)[0][0].measured_rate
        for m in (with_windows(converted, n) for n in (3, 5, 8))
    ]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 10 * rates[2]


def test_exact_protocols_have_no_faults(network, calibration, test_images):
    delphi = circa.convert(network, calibration, relu="delphi")
    layers, leaving = fault_rates(
        delphi.program, delphi.linear, delphi.encode(test_images[:8]), 0, lambda n: None
    )
    assert [(layer.predicted, layer.measured, layer.outside) for layer in layers] == [(0, 0, 0)] * 3
    assert leaving == 0


def test_values_outside_the_window_are_counted(converted, test_images):
    op = converted.program.activations[0]
    below, above = op.window.reach()
    z = np.zeros((2, op.shape[0], 36), np.int64)
    z[0, :, 0], z[0, :, 1] = -below, above
    assert not outside(op, z).any()
    z[1, 2, 5] = above[2] + 1
    z[1, 3, 5] = -below[3] - 1
    assert np.argwhere(outside(op, z)).tolist() == [[1, 2, 5], [1, 3, 5]]
    assert predicted(converted.program, op, z)[1, 2:4, 5].tolist() == [1.0, 1.0]
    x = 3 * test_images  # far beyond the calibration batch
    layers, leaving = fault_rates(converted.program, converted.linear, converted.encode(x), 0, lambda n: None)
    assert leaving > 100
    assert all(layer.outside >= layer.images_outside > 0 for layer in layers[:1])
