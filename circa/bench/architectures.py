"""What `circa bench network` measures: a network by name, converted on the spot, or a .circa file as it is.

    resnet20, resnet32    CIFAR ResNets with padded shortcuts (He et al., section 4.2), (3, 32, 32)
    resnet18              ResNet-18 with a 3x3 stem, (3, 32, 32)
    vgg16                 VGG-16 with batch normalisation and maximum pooling, (3, 32, 32)
    resnet18_64           the same ResNet-18 on (3, 64, 64), 200 classes: the shape of Tiny ImageNet
    mnist_b               MiniONN's network B, (1, 28, 28)

Weights are random, except where a trained checkpoint lies beside the checkout: neither changes the cost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from circa import container
from circa.errors import ParameterError
from circa.program import Program

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ARCHITECTURES", "Architecture", "find", "provide"]

Progress = Callable[[str, int, int], None]

_CHECKPOINTS = Path(__file__).resolve().parents[3] / "shared" / "data"
CALIBRATION = 32  # random images that fix the ranges


@dataclass(frozen=True)
class Architecture:
    """`builder` is a function of circa.models."""

    name: str
    builder: str
    classes: int = 10
    shape: tuple[int, int, int] = (3, 32, 32)
    checkpoint: str | None = None

    def build(self) -> "nn.Module":
        """The network, ready for inference; random weights are the same every time."""
        import torch

        from circa import models

        with torch.random.fork_rng():
            torch.manual_seed(0)
            model: nn.Module = getattr(models, self.builder)(self.classes)
        if self.trained:
            model.load_state_dict(torch.load(self._path, weights_only=True))
        return model.eval()

    @property
    def trained(self) -> bool:
        return self._path.is_file()

    @property
    def _path(self) -> Path:
        return _CHECKPOINTS / (self.checkpoint or "none")


ARCHITECTURES = {
    network.name: network
    for network in (
        Architecture("resnet20", "resnet20", checkpoint="cifar10_resnet20.pt"),
        Architecture("resnet32", "resnet32"),
        Architecture("resnet18", "resnet18_cifar"),
        Architecture("vgg16", "vgg16_cifar"),
        Architecture("resnet18_64", "resnet18_cifar", classes=200, shape=(3, 64, 64)),
        Architecture("mnist_b", "MnistB", shape=(1, 28, 28), checkpoint="mnist_cnn_b.pt"),
    )
}


def find(name: str) -> "Architecture | Path":
    """The network of that name, or the file. Raises ParameterError, listing the names, where there is
    neither.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if Path(name).is_file():
        return Path(name)
    names = ", ".join(ARCHITECTURES)
    raise ParameterError(f"no network is called '{name}': choose {names}, or the path of a .circa file")


def provide(
    network: "Architecture | Path", folder: Path, relu: str, bits: int, progress: Progress | None = None
) -> tuple[str, Path, Program]:
    """A label, a .circa file (made in `folder` where the network is no file yet) and its program.

    Calibrated on random images. Raises what the converter raises for a protocol or window, and FileError.
    """
    if isinstance(network, Path):
        return network.name, network, container.load(network)[0]
    import torch

    import circa

    images = torch.randn(CALIBRATION, *network.shape, generator=torch.Generator().manual_seed(0))
    converted = circa.convert(network.build(), images, relu=relu, bits=bits, progress=progress)
    path = folder / f"{network.name}.circa"
    converted.save(path)
    return network.name, path, converted.program
