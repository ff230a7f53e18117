"""`convert`: a trained PyTorch network and typical inputs to a `ConvertedModel`."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from torch import Tensor, nn
from torch.export import ExportedProgram

from circa.arguments import number, whole
from circa.errors import ConversionError, ParameterError
from circa.model import ConvertedModel
from circa.protocols.relu import WINDOWED, modulus_for
from circa.protocols.shares import PRIME31, RING32, Modulus
from circa.protocols.sign.window import MAX_BITS, MIN_BITS, MODES

from .calibrate import calibrate, check_batch
from .capture import capture, inference_copy, try_out
from .equalise import equalise
from .fold import fold
from .graph import Node, topological
from .lower import lower
from .masking import apply_masks, merge_masks
from .maximum import expand_maxima
from .quantise import SignTest, quantise
from .scales import Wanted, choose_scales
from .verify import check_network, check_program, check_trace

__all__ = ["convert", "simplify"]


def convert(
    model: nn.Module,
    calibration: Tensor,
    *,
    modulus: str | Modulus | None = None,
    relu: str = "table",
    bits: int = 6,
    mode: str = "balanced",
    per_channel: bool = True,
    margin: float = 1.25,
    input_bits: int = 12,
    activation_bits: int = 12,
    weight_bits: int = 10,
    truncate_bits: int = 12,
    masks: Mapping[str, Tensor] | None = None,
    others: str = "identity",
    equalised: bool = False,
    labels: Sequence[str] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> ConvertedModel:
    """Convert a trained network for private inference. The model itself is not changed.

    calibration: a batch of typical inputs as the model takes them, float (batch, ...); 100 to 1,000 of
    them. relu: name of the ReLU protocol. modulus: "ring", "prime", or the one that the protocol is meant
    for. Window protocols: `bits` n, fault `mode`, one window per channel or per layer, `margin` on the
    calibrated ranges; published ones: `truncate_bits` k. Fractional bits of the input, the activations and
    the weights are lowered where a range needs it. masks: by the name of an activation, zeros and ones in
    its shape; where a mask is zero there is no sign test, and the value stays ("identity") or becomes 0
    ("zero", `others`). A mask in the model itself needs no argument. equalised: bring the channels of a
    layer to one range first (equalise.py), for one window per layer or the published protocols.
    progress(step, done, total) is called as the work goes on.

    Raises ConversionError listing every part of the model that does not convert, CalibrationError for
    calibration data or ranges that do not fit, ParameterError for another argument out of range.
    """
    chosen = resolve(modulus, relu)
    margin = number("margin", margin, 1, 16)
    bits = whole("bits", bits, MIN_BITS, MAX_BITS)
    input_bits = whole("input_bits", input_bits, 4, 24)
    activation_bits = whole("activation_bits", activation_bits, 4, 24)
    weight_bits = whole("weight_bits", weight_bits, 2, 14)
    truncate_bits = whole("truncate_bits", truncate_bits, 0, 30)
    if mode not in MODES:
        raise ParameterError(f"unknown fault mode {mode!r}; modes: {', '.join(MODES)}")
    report = progress or (lambda step, done, total: None)

    check_batch(calibration)
    model = inference_copy(model)
    calibration = calibration.detach().cpu().float()
    report("trace", 0, 1)
    result = try_out(model, calibration)
    exported = capture(model, calibration)
    output = simplify(exported, masks, others)
    nodes = topological(output)
    report("trace", 1, 1)
    check_trace(exported, calibration, result)
    check_network(exported, nodes, calibration)
    names = checked_labels(labels, result[0].numel())
    ranges = calibrate(nodes, calibration, lambda done, total: report("calibrate", done, total))

    if equalised:
        equalise(nodes, ranges)
    nodes, scales = choose_scales(
        output, ranges, Wanted(chosen, margin, input_bits, activation_bits, weight_bits)
    )
    test = SignTest(relu, bits, mode, margin, per_channel, truncate_bits)
    quantised = quantise(nodes, ranges, scales, chosen, test)
    converted = ConvertedModel(quantised.program(relu, names), quantised.weights)
    report("check", 0, 1)
    check_program(converted, quantised.place, scales, calibration)
    report("check", 1, 1)
    return converted


def checked_labels(labels: Sequence[str] | None, outputs: int) -> tuple[str, ...]:
    if labels is None:
        return ()
    listed = isinstance(labels, Iterable) and not isinstance(labels, str)
    if not listed or not all(isinstance(label, str) for label in labels):
        raise ConversionError("labels are a list of texts, one for each output")
    if len(labels) not in (0, outputs):
        raise ConversionError(f"{len(labels)} labels for {outputs} outputs")
    return tuple(labels)


def simplify(
    exported: ExportedProgram, masks: Mapping[str, Tensor] | None = None, others: str = "identity"
) -> Node:
    """The real network that is calibrated and made integers of: lowered, masked, folded, without maxima."""
    return expand_maxima(fold(apply_masks(merge_masks(lower(exported)), masks or {}, others)))


def resolve(modulus: str | Modulus | None, relu: str) -> Modulus:
    """The modulus of the shares. Raises ParameterError for an unknown one, and where the protocol needs
    another.
    """
    own = modulus_for(relu)
    if relu == "rescale":
        raise ParameterError("relu 'rescale' has no sign test: choose another protocol")
    named = {None: own, "ring": RING32, "prime": PRIME31}
    chosen = modulus if isinstance(modulus, Modulus) else named.get(modulus)
    if chosen is None:
        raise ParameterError(f'modulus is "ring" or "prime", not {modulus!r}')
    if relu in WINDOWED and not chosen.is_ring:
        raise ParameterError(f"relu {relu!r} needs the ring: a window is a remainder mod 2^m")
    return chosen
