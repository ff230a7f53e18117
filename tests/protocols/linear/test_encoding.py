"""Plan and encoding: schoolbook products give the layer, every output once, batches pack."""

from dataclasses import dataclass

import numpy as np
import pytest
from convolution import LAYERS, convolve, shapes
from hypothesis import given, settings
from hypothesis import strategies as st

from circa.protocols.errors import ParameterError
from circa.protocols.linear.cost import cost
from circa.protocols.linear.encoding import encode_input, encode_weights, place
from circa.protocols.linear.parameters import A8192, B4096
from circa.protocols.linear.plan import make_plan
from circa.protocols.linear.shape import LinearShape
from circa.protocols.shares import RING32


@dataclass(frozen=True)
class Small:
    """The sizes that a plan reads, of a ring small enough that layers are cut on every axis."""

    degree: int
    request_bytes: int = 5
    response_bytes: int = 2
    ciphertext_bytes: int = 1 << 24  # two requests a wave


def negacyclic(a, b):
    """a * b modulo x^N + 1 and 2^64, schoolbook."""
    n = a.size
    full = np.convolve(a.astype(np.int64), b.astype(np.int64))
    full = np.concatenate([full, np.zeros(2 * n - full.size, np.int64)])
    return full[:n] - full[n:]


def evaluate(plan, weights, x):
    """The layer by its polynomials, in the order in which the sender answers."""
    output = np.full((plan.batch, *plan.shape.output_shape), 0xDEADBEEF, np.uint32)
    written = np.zeros(output.shape, int)
    polynomials = list(encode_input(plan, x))
    assert len(polynomials) == len(plan.blocks)
    for wave in plan.waves():
        for m in range(plan.output_blocks):
            factors = encode_weights(plan, weights, m)
            for block in wave:
                total = np.zeros(plan.parameters.degree, np.int64)
                for c, factor in zip(plan.read(m), factors, strict=True):
                    total += negacyclic(polynomials[plan.blocks.index(block)][c], factor)
                positions = plan.positions(block, m)
                assert np.unique(positions).size == positions.size
                place(plan, block, m, total[positions], output)
                written[plan.where(block, m)] += 1
    assert (written == 1).all()  # each output comes from exactly one response
    return output


def check(shape, batch, parameters):
    rng = np.random.default_rng(1)
    weights = rng.integers(-(1 << 15), 1 << 15, shape.weight_shape)
    x = rng.integers(0, 1 << 32, (batch, *shape.input_shape), dtype=np.uint32)
    plan = make_plan(shape, batch, parameters)
    np.testing.assert_array_equal(evaluate(plan, weights, x), convolve(shape, weights, x, RING32))
    return plan


@given(shapes(), st.integers(1, 5), st.sampled_from([32, 64, 128, 512]))
@settings(max_examples=300)
def test_schoolbook_products_give_any_layer(shape, batch, degree):
    try:
        make_plan(shape, batch, Small(degree))
    except ParameterError:  # the kernel alone exceeds the ring
        assert shape.rows.span * shape.columns.span > degree / 4
        return
    check(shape, batch, Small(degree))


@pytest.mark.parametrize(
    "name",
    ["3x3", "valid", "stride", "asymmetric", "dilated", "shortcut", "groups", "depthwise", "one pixel"],
)
def test_every_axis_can_be_cut(name):
    plan = check(LAYERS[name], 5, Small(64))
    assert plan.requests > 1
    assert plan.responses > 1


def test_the_cuts_occur():
    """The small rings above do cut rows, columns, channels, outputs and images; and pack several of each."""
    cut, packed = set(), set()
    for shape in LAYERS.values():
        for degree in (64, 128, 512, 2048):
            try:
                plan = make_plan(shape, 5, Small(degree))
            except ParameterError:
                continue
            sizes = {
                "rows": (plan.rows.outputs, shape.out_height),
                "columns": (plan.columns.outputs, shape.out_width),
                "channels": (plan.channels, shape.in_channels),
                "outputs": (plan.outputs, shape.out_channels),
                "images": (plan.images, 5),
            }
            cut |= {name for name, (size, whole) in sizes.items() if size < whole}
            packed |= {name for name, (size, _) in sizes.items() if size > 1}
    assert cut == packed == {"rows", "columns", "channels", "outputs", "images"}


def test_a_kernel_larger_than_the_ring_is_refused():
    with pytest.raises(ParameterError, match="smaller dilation or kernel"):
        make_plan(LinearShape(1, 80, 80, 1, (70, 70)), 1, B4096)
    make_plan(LinearShape(1, 80, 80, 1, (70, 70)), 1, A8192)


@pytest.mark.parametrize("batch", [0, -1, 1 << 17])
def test_batches_out_of_range_are_refused(batch):
    with pytest.raises(ParameterError):
        make_plan(LAYERS["3x3"], batch, B4096)


@pytest.mark.parametrize(
    ("shape", "factor"),
    [
        (LinearShape(64, 8, 8, 64, (3, 3), padding=(1, 1, 1, 1)), 4),
        (LinearShape(16, 4, 4, 32, (3, 3), padding=(1, 1, 1, 1)), 6),
        (LinearShape(32, 7, 7, 32, (3, 3), padding=(1, 1, 1, 1), groups=32), 4),
        (LinearShape.fully_connected(512, 100), 8),
        (LinearShape.fully_connected(64, 10), 20),
    ],
)
def test_a_batch_costs_far_less_than_its_images(shape, factor):
    one, many = cost(shape, 1), cost(shape, 64)
    assert factor * (many.bytes_up + many.bytes_down) < 64 * (one.bytes_up + one.bytes_down)


def test_a_strided_shortcut_costs_what_its_outputs_cost():
    assert cost(LinearShape(64, 16, 16, 128, stride=(2, 2)), 1) == cost(LinearShape(64, 8, 8, 128), 1)


def test_groups_skip_the_products_that_are_zero():
    dense = cost(LinearShape(64, 8, 8, 64, (3, 3), padding=(1, 1, 1, 1)), 1)
    depthwise = cost(LinearShape(64, 8, 8, 64, (3, 3), padding=(1, 1, 1, 1), groups=64), 1)
    assert depthwise.products * 4 < dense.products
    assert depthwise.bytes_up + depthwise.bytes_down <= dense.bytes_up + dense.bytes_down


@pytest.mark.parametrize(
    ("shape", "up", "down"),
    [  # reference/linear_he/README.md, section 4: MB
        (LinearShape(64, 8, 8, 64, (3, 3), padding=(1, 1, 1, 1)), 0.33, 0.40),
        (LinearShape(64, 16, 16, 64, (3, 3), padding=(1, 1, 1, 1)), 0.60, 0.85),
        (LinearShape(64, 32, 32, 64, (3, 3), padding=(1, 1, 1, 1)), 1.20, 1.88),
        (LinearShape.fully_connected(512, 100), 0.11, 0.17),
    ],
)
def test_no_layer_costs_more_than_the_prototype_measured(shape, up, down):
    found = cost(shape, 1)
    assert found.bytes_up + found.bytes_down <= (up + down + 0.01) * 1e6
