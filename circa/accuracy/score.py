"""Accuracy with what chance does to it: the interval of one run, and of the difference between two."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circa.errors import ParameterError

__all__ = ["Score", "check_labels", "classes", "compare", "interval"]

Z95 = 1.959964
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """Per cent of the images. `accuracy` is against the labels, `agreement` with the fixed-point network's
    classes. low, high: 95 % binomial interval of the accuracy. difference: accuracy less the fixed-point
    network's on the same images, with its standard error `spread`, which is smaller than the interval
    because both see the same images.
    """

    accuracy: float
    low: float
    high: float
    agreement: float
    difference: float
    spread: float


def classes(outputs: NDArray[np.float64]) -> Integers:
    """The largest output of every image."""
    largest: Integers = outputs.reshape(len(outputs), -1).argmax(1)
    return largest


def check_labels(labels: Integers, images: int, outputs: int) -> Integers:
    """The labels as int64 (images,). Raises ParameterError where they do not fit."""
    if labels.shape != (images,) or labels.dtype.kind not in "iu":
        raise ParameterError(
            f"labels are {labels.dtype} {labels.shape}: expected {images} integers, one an image"
        )
    if labels.min() < 0 or labels.max() >= outputs:
        raise ParameterError(f"labels from {labels.min()} to {labels.max()} for {outputs} classes")
    return labels.astype(np.int64)


def compare(predicted: list[Integers], reference: Integers, labels: Integers) -> Score:
    """The score of several runs on the same images (other shares, same network) against one exact run."""
    right = np.stack([run == labels for run in predicted]).mean(0)  # of every image: in how many runs
    change = right - (reference == labels)
    accuracy = float(right.mean())
    low, high = interval(accuracy, len(labels))
    spread = float(change.std()) / math.sqrt(len(labels))
    agreement = float(np.mean([(run == reference).mean() for run in predicted]))
    return Score(*(100 * v for v in (accuracy, low, high, agreement, float(change.mean()), spread)))


def interval(share: float, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a share of so many independent trials; sensible at 0 and 1 too."""
    z2 = Z95**2 / trials
    centre, half = share + z2 / 2, Z95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials))
    return max(0.0, (centre - half) / (1 + z2)), min(1.0, (centre + half) / (1 + z2))
