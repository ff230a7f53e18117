"""The images of ../shared/data as the networks there take them: float tensors, NCHW, normalised."""

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

CIFAR_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
CIFAR_STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def checkpoint(shared: Path, name: str) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = torch.load(shared / f"{name}.pt", weights_only=True)
    return tensors


def cifar(shared: Path, split: str, first: int, normalised: bool = True) -> tuple[Tensor, Tensor]:
    """`split` is "test" (500 images) or "train" (10,000); MiniONN takes the images as they are, in [0, 1]."""
    name = {"test": "cifar10_test_first500.npz", "train": "cifar10_train_first10000.npz"}[split]
    with np.load(shared / name) as data:
        x, y = data["x"][:first], data["y"][:first]
    images = torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255
    if normalised:
        images = (images - CIFAR_MEAN) / CIFAR_STD
    return images.contiguous(), torch.from_numpy(y.astype(np.int64))


def mnist(shared: Path, first: int) -> tuple[Tensor, Tensor]:
    x = gzip.decompress((shared / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    y = gzip.decompress((shared / "train-labels-idx1-ubyte.gz").read_bytes())[8:]
    pixels = np.frombuffer(x, np.uint8)[: first * 784].reshape(first, 1, 28, 28)
    images = (torch.from_numpy(pixels.copy()).float() / 255 - 0.1307) / 0.3081
    return images, torch.from_numpy(np.frombuffer(y, np.uint8)[:first].astype(np.int64))
