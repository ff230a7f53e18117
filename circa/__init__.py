"""Circa: private neural-network inference between a client and a server.

converted = circa.convert(model, calibration)       # a trained PyTorch model, a batch of typical inputs
converted.save("model.circa")

circa.serve("model.circa")                          # one process: holds the weights

with circa.connect("host:7766") as session:         # another: holds the input
    session.prepare(4)                              # offline phase, before the input is known
    logits = session.infer(x)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import errors
    from .accuracy import tune, with_windows
    from .client import Session, connect
    from .converter import convert
    from .errors import CircaError
    from .finetuning import finetune
    from .model import ConvertedModel
    from .server import Server, serve

__version__ = "0.1.0"

# Imported on first use: `import circa.protocols` must not pay for torch.
_HOMES = {
    "CircaError": "errors",
    "ConvertedModel": "model",
    "Server": "server",
    "Session": "client",
    "connect": "client",
    "convert": "converter",
    "errors": "",
    "finetune": "finetuning",
    "serve": "server",
    "tune": "accuracy",
    "with_windows": "accuracy",
}

__all__ = [
    "CircaError",
    "ConvertedModel",
    "Server",
    "Session",
    "connect",
    "convert",
    "errors",
    "finetune",
    "serve",
    "tune",
    "with_windows",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'circa' has no attribute '{name}'")
    from importlib import import_module

    home = _HOMES[name]
    return getattr(import_module(f"circa.{home}"), name) if home else import_module(f"circa.{name}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
