"""From a user's module to a graph of PyTorch operations, by torch.export. The module itself is never touched.

The copy runs in eval mode on the CPU in float32. The graph is functional (no operation in place) and is
traced for a batch of `BATCH` images; control flow or shapes that depend on the input's values cannot be
traced.
"""

import copy
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from circa.errors import CalibrationError, ConversionError

__all__ = ["BATCH", "capture", "inference_copy"]

BATCH = 5  # a size that few other dimensions have, so that a batch that goes astray is seen


def inference_copy(model: nn.Module) -> nn.Module:
    """A copy in eval mode, in float32 on the CPU.

    Raises ConversionError for what is no module of plain tensors, and for NaN or infinite weights.
    """
    if not isinstance(model, nn.Module):
        raise ConversionError(f"the model is a {type(model).__name__}: give an instance of torch.nn.Module")
    if isinstance(model, torch.jit.ScriptModule):
        raise ConversionError("the model is compiled by torch.jit: give the module that it was made from")
    if strange := [f"  {name}: {reason}" for name, reason in strange_tensors(model)]:
        raise ConversionError("the model has weights that cannot be used:\n" + "\n".join(strange))
    try:
        model = copy.deepcopy(model)
    except Exception as error:  # whatever a user's __deepcopy__ or unpicklable member raises
        raise ConversionError(
            f"the model cannot be copied ({first_line(error)}): keep tensors and modules only in it"
        ) from error
    model = model.to("cpu", torch.float32).eval().requires_grad_(False)
    bad = [
        f"  {name}: {'NaN' if tensor.isnan().any() else 'infinite'} values; train or load the model again"
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point() and not tensor.isfinite().all()
    ]
    if bad:
        raise ConversionError("the model has weights that are not numbers:\n" + "\n".join(bad))
    return model


def strange_tensors(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Paths of the tensors of which there is no copy in float32, and the remedy."""
    for path, module in model.named_modules():
        for name, value in {**vars(module), **module._parameters, **module._buffers}.items():
            where = f"{path}.{name}".lstrip(".")
            if not isinstance(value, Tensor):
                continue
            if nn.parameter.is_lazy(value):
                yield where, "it has no shape yet; run the model once"
            elif value.is_meta:
                yield where, "it is on the meta device, without values; load the weights"
            elif value.is_complex():
                yield where, "complex numbers; write real and imaginary parts as two layers"
            elif value.layout is not torch.strided or value.is_quantized:
                yield where, f"a {value.layout} {value.dtype} tensor; make it dense floats"
            elif value.grad_fn is not None:
                yield where, "a tensor computed by a hook; make it permanent (torch.nn.utils.prune.remove)"


def try_out(model: nn.Module, calibration: Tensor) -> Tensor:
    """The output for the first images. Raises CalibrationError, naming the layer that refuses them."""
    with torch.no_grad(), entered(model) as path:
        try:
            result = model(calibration[:2])
        except Exception as error:  # user code: anything
            raise CalibrationError(
                f"the model does not take a calibration batch of shape {tuple(calibration.shape)}: "
                f"{place(path)} raises {first_line(error)}. Give a batch of inputs as the model gets them, "
                f"images as (batch, channels, height, width)"
            ) from error
    if not isinstance(result, Tensor):
        raise ConversionError(f"the model returns {type(result).__name__}: return one tensor, the logits")
    return result


def capture(model: nn.Module, calibration: Tensor) -> ExportedProgram:
    """The functional graph of an `inference_copy`. Raises ConversionError where tracing is impossible."""
    example = calibration[:1].expand(BATCH, *calibration.shape[1:]).clone()
    with quiet(), torch.no_grad(), entered(model) as path:
        try:
            exported: ExportedProgram = torch.export.export(model, (example,)).run_decompositions({})
        except Exception as error:  # torch.export raises whatever user code does
            raise ConversionError(explain(error, place(path))) from error
    return exported


def explain(error: Exception, where: str) -> str:
    text = f"{type(error).__name__}: {error}"
    if "data-dependent" in text or "DataDependent" in text:
        return (
            f"{where}: control flow or a shape depends on the input's values, which nobody knows in private "
            "inference. Compute both branches, or decide by shapes and constants only"
        )
    return f"{where}: torch.export cannot trace the model: {first_line(error)}"


def first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__


def place(path: list[str]) -> str:
    return f"module {path[-1]!r}" if path and path[-1] else "the model's forward"


@contextmanager
def entered(model: nn.Module) -> Iterator[list[str]]:
    """The paths of the modules that are running, outermost first; where an exception left off."""
    path: list[str] = []
    hooks = []
    for name, module in model.named_modules():

        def enter(module: nn.Module, args: Any, name: str = name) -> None:
            path.append(name)

        def leave(module: nn.Module, args: Any, result: Any) -> None:
            path.pop()

        hooks += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield path
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def quiet() -> Iterator[None]:
    """torch.export warns about its own internals, and logs and prints what it then raises."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
