"""`finetune`: a few epochs in which a trained network gets used to the faults of its sign tests.

For those who want windows of 3 or 4 bits: the float network trains with the faults it will have (faulty.py)
and is converted afterwards, with the same n. The windows' ranges are taken anew before every epoch. By
default it learns to give, under faults, what it gave without them (knowledge distillation; Hinton, Vinyals,
Dean, arXiv 1503.02531): a trained network fits its training labels already, and learns too little from them.
"""

import copy
import math
from collections.abc import Callable, Iterable, Sequence, Sized

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import ParameterError
from .faulty import FaultyReLUs
from .model import ConvertedModel

__all__ = ["finetune", "imitation"]

CALIBRATION_IMAGES = 256
TEMPERATURE = 2.0
Batches = Iterable[tuple[Tensor, Tensor]]
Windows = tuple[int, str] | list[tuple[int, str]]


def finetune(
    model: nn.Module,
    loader: Batches,
    bits: int | Sequence[int] | ConvertedModel = 4,
    *,
    mode: str = "balanced",
    epochs: int = 1,
    learning_rate: float = 0.01,
    margin: float = 1.25,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    generator: torch.Generator | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> nn.Module:
    """A copy of the trained network, fine-tuned under its windows' faults, in eval mode; convert it next.

    loader: batches (inputs, labels), iterated anew for every epoch and for the ranges: a DataLoader or a
    list. bits: n for all activations, or one for each in the order in which they run, or a ConvertedModel,
    say a tuned one, whose windows are taken. SGD with momentum; the learning rate falls to zero in a
    straight line. loss(outputs, labels): None (labels unused) is the divergence of the class probabilities
    from those of the network as it was. generator: of the faults. progress("epoch 1 of 2, loss 0.123", done,
    total) counts batches.

    Raises ParameterError for settings out of range, for a loader that gives nothing or no second time, where
    there are fewer or more windows than activations, and where training diverges.
    """
    if epochs < 1 or learning_rate <= 0 or margin < 1:
        raise ParameterError("fine-tuning takes epochs >= 1, a learning rate > 0 and a margin >= 1")
    relus = FaultyReLUs(_windows(bits, mode), margin, generator)
    teacher, model = copy.deepcopy(model).eval(), copy.deepcopy(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9)
    total = epochs * _batches(loader)
    done = 0
    for epoch in range(epochs):
        _measure(model, loader, relus)
        model.train()
        before = done
        for x, labels in loader:
            for group in optimiser.param_groups:
                group["lr"] = learning_rate * max(0.0, 1 - done / total)
            if loss is None:
                with torch.no_grad():
                    expected = teacher(x)
            with relus:
                outputs = model(x)
            value = imitation(outputs, expected) if loss is None else loss(outputs, labels)
            if not math.isfinite(value.item()):
                raise ParameterError(
                    f"fine-tuning diverges in epoch {epoch + 1}: the loss is {value.item()}; give a lower"
                    f" learning rate than {learning_rate:g}"
                )
            if not relus.calls:
                raise ParameterError("the network calls no activation that a window could replace")
            optimiser.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            done += 1
            if progress is not None:
                progress(f"epoch {epoch + 1} of {epochs}, loss {value.item():.3f}", done, total)
        if done == before:
            raise ParameterError("the loader gave nothing: give a DataLoader or a list, not an iterator")
    return model.eval()


def imitation(outputs: Tensor, expected: Tensor) -> Tensor:
    """The mean Kullback-Leibler divergence of the class probabilities (classes in axis 1), softened."""
    logs, wanted = (F.log_softmax(logits / TEMPERATURE, 1) for logits in (outputs, expected))
    per_class = F.kl_div(logs, wanted, reduction="none", log_target=True)
    return TEMPERATURE**2 * per_class.sum(1).mean()


def _windows(bits: int | Sequence[int] | ConvertedModel, mode: str) -> Windows:
    if isinstance(bits, ConvertedModel):
        found = [op.window for op in bits.program.activations if op.sign_tests]
        if None in found:
            raise ParameterError(f"protocol {bits.program.relu!r} has no windows: convert with relu='table'")
        return [(window.bits, window.mode) for window in found if window is not None]
    return (bits, mode) if isinstance(bits, int) else [(n, mode) for n in bits]


def _batches(loader: Batches) -> int:
    return len(loader) if isinstance(loader, Sized) else sum(1 for _ in loader)


def _measure(model: nn.Module, loader: Batches, relus: FaultyReLUs) -> None:
    """The ranges of all activations on the first images, as inference will have them."""
    model.eval()
    relus.measure()
    images = 0
    with torch.no_grad():
        for x, _ in loader:
            with relus:
                model(x)
            images += len(x)
            if images >= CALIBRATION_IMAGES:
                break
    relus.done()
