"""`circa demo`: train, convert, serve from another process, classify privately, show where the cost went."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from .console import Json, cost_table, emit, err, out, reporting, size, track

if TYPE_CHECKING:
    from torch import Tensor

    from circa.model import ConvertedModel

__all__ = ["demo"]

SHOWN = 4  # images drawn in the terminal


def demo(
    images: Annotated[int, typer.Option(min=1, max=300, help="Held-out images to classify.")] = 64,
    relu: Annotated[str, typer.Option(help="ReLU protocol; `circa bench relu --help` lists them.")] = "table",
    bits: Annotated[int, typer.Option(min=2, max=8, help="Window bits n of the sign test.")] = 6,
    epochs: Annotated[int, typer.Option(min=1, help="Training epochs.")] = 12,
    seed: Annotated[
        int, typer.Option(help="Seed of training and of the split; never of the cryptography.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Classify real handwritten digits privately, in two processes, and show what it costs.

    Trains a small CNN on the digits that come with scikit-learn (a few seconds), converts it, starts a
    server process that holds the weights, and plays the client: the server never sees a digit, the client
    never sees a weight.
    """
    with reporting(as_json):
        import torch

        from circa.client import connect
        from circa.protocols.relu import modulus_for

        modulus_for(relu)  # an unknown name is refused before the training
        x, truth, model, converted = _train_and_convert(images, relu, bits, epochs, seed, as_json)
        with torch.no_grad():
            plain = model(x)
        with tempfile.TemporaryDirectory(prefix="circa-demo-") as folder:
            path = Path(folder) / "digits.circa"
            converted.save(path)
            with _server_process(path) as address, connect(address) as session:
                if not as_json:
                    err.print(
                        f"server process at {address}; the client learned the architecture and hash"
                        f" {session.model_hash[:16]}…"
                    )
                with track(f"offline phase for {images} images", as_json) as progress:
                    session.prepare(images, progress)
                logits = session.infer(x)
        private, report = logits.argmax(1), session.report
        offline, online = report.total("offline"), report.total("online")
        result: dict[str, Any] = {
            "images": images,
            "relu": relu,
            "agreement": (private == plain.argmax(1)).double().mean().item(),
            "accuracy": (private == truth).double().mean().item(),
            "plaintext_accuracy": (plain.argmax(1) == truth).double().mean().item(),
            "max_logit_error": (logits - plain.double()).abs().max().item(),
            "relus": session.program.relus * images,
            "offline_seconds": offline.milliseconds / 1e3,
            "online_seconds": online.milliseconds / 1e3,
            "offline_bytes": offline.bytes_sent + offline.bytes_received,
            "online_bytes": online.bytes_sent + online.bytes_received,
            "online_rounds": online.rounds,
            "per_layer": report.to_dicts(),
        }
        if as_json:
            emit(result)
            return
        shown = min(SHOWN, images)
        captions = [
            f"private   [bold]{private[i]}[/]\nplaintext {plain[i].argmax()}\ntruth     {truth[i]}\n"
            for i in range(shown)
        ]
        out.print(_gallery(x[:shown, 0], captions, out.color_system is not None))
        out.print(
            cost_table(result["per_layer"], f"{images} images, {result['relus']:,} ReLUs, protocol {relu}")
        )
        out.print(
            f"agreement with plaintext [bold]{result['agreement']:.1%}[/]   accuracy {result['accuracy']:.1%}"
            f" (plaintext {result['plaintext_accuracy']:.1%})   largest logit difference"
            f" {result['max_logit_error']:.4f}"
        )
        out.print(
            f"offline {result['offline_seconds']:.2f} s, {size(result['offline_bytes'])}   online"
            f" [bold]{result['online_seconds']:.3f} s[/], {size(result['online_bytes'])},"
            f" {result['online_rounds']} rounds"
        )


def _train_and_convert(
    images: int, relu: str, bits: int, epochs: int, seed: int, quiet: bool
) -> "tuple[Tensor, Tensor, Any, ConvertedModel]":
    """The held-out images and their labels, the trained network, the converted one."""
    import torch
    from sklearn.datasets import load_digits

    from circa.converter import convert
    from circa.models.digits import DigitsCNN, train

    torch.manual_seed(seed)
    digits = load_digits()
    x = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    y = torch.tensor(digits.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    train_set, test_set = order[300:], order[:images]
    model = DigitsCNN()
    with err.status("training a small CNN on scikit-learn's digits") if not quiet else _silence():
        train(model, x[train_set], y[train_set], epochs=epochs)
    with err.status("converting") if not quiet else _silence():
        labels = [str(name) for name in digits.target_names]
        converted = convert(model, x[train_set[:256]], relu=relu, bits=bits, labels=labels)
    return x[test_set], y[test_set], model, converted


@contextmanager
def _silence() -> Iterator[None]:
    yield


@contextmanager
def _server_process(path: Path) -> Iterator[str]:
    """`circa serve` as another process on a free port; yields its address."""
    command = [sys.executable, "-P", "-m", "circa", "serve", str(path), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            started = json.loads(process.stdout.readline() or "{}")
            if "address" not in started:
                raise RuntimeError(
                    f"the server process did not start: {started.get('error', 'see its output above')}"
                )
            yield started["address"]
        finally:
            process.terminate()


def _gallery(images: "Tensor", captions: list[str], colour: bool) -> Table:
    """Images (n, height, width) in [0, 1], side by side, each with its caption below."""
    grid = Table.grid(padding=(0, 3, 0, 0))
    draw = _blocks if colour else _shades
    grid.add_row(*(draw((image.clamp(0, 1) * 255).int().tolist()) for image in images))
    grid.add_row(*captions)
    return grid


def _blocks(rows: list[list[int]]) -> Text:
    """Half-height blocks: two rows of pixels a line, two columns a pixel."""
    text = Text()
    for above, below in zip(rows[::2], rows[1::2], strict=True):
        for a, b in zip(above, below, strict=True):
            text.append("▀▀", style=f"rgb({a},{a},{a}) on rgb({b},{b},{b})")
        text.append("\n")
    return text


def _shades(rows: list[list[int]]) -> Text:
    """For terminals without colours and for files."""
    ramp = " .:-=+*#%@"
    return Text(
        "\n".join("".join(ramp[value * len(ramp) // 256] * 2 for value in row) for row in rows) + "\n"
    )
