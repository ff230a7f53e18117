"""Other windows without a new conversion: the same program as a new conversion gives."""

import dataclasses

import numpy as np
import pytest
import torch

import circa
from circa.accuracy import with_truncation, with_windows
from circa.errors import FileError, ParameterError

NAMES = ["relu", "relu6", "relu_1"]


@pytest.mark.parametrize(("bits", "mode"), [(3, "poszero"), (8, "negpass")])
def test_equals_a_fresh_conversion(converted, network, calibration, bits, mode):
    fresh = circa.convert(network, calibration, bits=bits, mode=mode)
    changed = with_windows(converted, bits, mode)
    assert changed.program == fresh.program
    assert changed.program != converted.program
    assert with_windows(changed, 6, "balanced").program == converted.program  # and back


def test_one_window_for_a_layer_stays_one(network, calibration):
    per_layer = circa.convert(network, calibration, per_channel=False)
    fresh = circa.convert(network, calibration, per_channel=False, bits=4)
    assert with_windows(per_layer, 4).program == fresh.program
    assert [len(op.window.gain) for op in fresh.program.activations] == [1, 1, 1]


def test_truncation_equals_a_fresh_conversion_both_ways(converted, network, calibration):
    fresh = circa.convert(
        network, calibration, relu="circa", modulus="ring", truncate_bits=14, mode="negpass"
    )
    assert with_truncation(converted, 14, "negpass").program == fresh.program
    assert with_windows(fresh, 6, "balanced").program == converted.program


def test_per_layer_bits_leave_the_others_alone(converted):
    names = [op.name for op in converted.program.activations]
    changed = with_windows(converted, {names[1]: 3})
    assert [op.window.bits for op in changed.program.activations] == [6, 3, 6]
    before, after = converted.program.operations, changed.program.operations
    assert [a.name for a, b in zip(before, after, strict=True) if a != b] == [names[1]]
    assert changed.weights.keys() == converted.weights.keys()


def test_ranges_travel_in_the_file(converted, tmp_path):
    converted.save(tmp_path / "a.circa")
    loaded = circa.ConvertedModel.load(tmp_path / "a.circa")
    assert with_windows(loaded, 3).program == with_windows(converted, 3).program


def test_a_range_that_does_not_fit_is_refused(converted, tmp_path):
    name = f"{converted.program.activations[0].name}.range"
    whole = np.stack([-np.ones(6, np.int64), np.ones(6, np.int64)])
    circa.ConvertedModel(converted.program, {**converted.weights, name: whole})
    for array in (whole[0], whole[:, :3], whole[::-1], 0 * whole, whole.astype(np.float64)):
        with pytest.raises(ParameterError, match=name):
            circa.ConvertedModel(converted.program, {**converted.weights, name: array})
    with pytest.raises(ParameterError, match=r"no layer has other\.range"):
        circa.ConvertedModel(converted.program, {**converted.weights, "other.range": np.ones(1, np.int64)})
    assert issubclass(FileError, ParameterError)


def test_the_same_network_but_for_the_faults(converted, test_images):
    exact = converted(test_images, stochastic=False)
    coarse = with_windows(converted, 2)
    assert torch.equal(coarse(test_images, stochastic=False), exact)
    errors = [(m(test_images) - exact).abs().mean() for m in (with_windows(converted, 8), converted, coarse)]
    assert errors == sorted(errors)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda m: with_windows(m, 9), "relu: a window of protocol 'table' has 2 to 8 bits, not 9"),
        (lambda m: with_windows(m, 1), "2 to 8 bits, not 1"),
        (lambda m: with_windows(m, 6, "middle"), "unknown fault mode 'middle'"),
        (lambda m: with_windows(m, {"conv": 4}), "no activation is named conv; there are relu"),
        (lambda m: with_truncation(m, 31), "31 truncated bits"),
        (lambda m: with_truncation(m, 8, "balanced"), "unknown fault mode 'balanced'"),
    ],
)
def test_bad_settings_are_named(converted, change, text):
    with pytest.raises(ParameterError, match=text):
        change(converted)


def test_a_window_needs_the_ring_and_a_range(converted, network, calibration):
    prime = circa.convert(network, calibration, relu="circa")
    with pytest.raises(ParameterError, match="needs shares modulo 2\\^32"):
        with_windows(prime, 6)
    published = with_truncation(converted, 12)
    with pytest.raises(ParameterError, match="has no window yet, so say how many bits"):
        with_windows(published, mode="balanced")
    bare = {name: array for name, array in converted.weights.items() if not name.endswith(".range")}
    for program in (published.program, converted.program):
        with pytest.raises(ParameterError, match="holds no range for a window"):
            with_windows(circa.ConvertedModel(program, bare), 6)


def test_garbled_windows_may_be_wider(converted):
    program = dataclasses.replace(converted.program, relu="window-garbled")
    garbled = circa.ConvertedModel(program, converted.weights)
    assert [op.window.bits for op in with_windows(garbled, 12).program.activations] == [12, 12, 12]
