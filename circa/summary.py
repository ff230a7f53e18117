"""A converted network layer by layer, in the manner of torchinfo: shapes, scales, windows, ReLUs, cost."""

from rich import box
from rich.table import Table

from circa.estimate import estimate
from circa.program import Activate, Linear, Operation, Program

__all__ = ["summary"]


def summary(program: Program) -> Table:
    """A rich table with one row an operation; `print` it with `rich.print`.

    kB are for one image: the offline phase of linear layers and activations, the online phase of activations.
    z is what fits the windows of a layer's channels, the widest bounds: values beyond lose their sign.
    """
    predicted = estimate(program)
    moved: dict[tuple[str, str], float] = {}
    for row in predicted.rows:
        moved[row.layer, row.phase] = (row.bytes_sent + row.bytes_received) / 1e3
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    table.title = (
        f"{program.relus:,} sign tests an image, protocol {program.relu}, modulus {program.modulus.value}"
    )
    table.title_justify = table.caption_justify = "left"
    table.caption = "n: bits of a window, balanced, poszero or negpass; w: weights' fraction; kB of one image"
    table.add_column("\nlayer", overflow="fold")  # the only one to give way where the terminal is narrow
    for column in ("operation", "output"):
        table.add_column(f"\n{column}", no_wrap=True)
    for column in ("\n2^-", "\nReLUs", "\nwindow", "\nz from..to", "offline\nkB", "online\nkB"):
        table.add_column(column, justify="right", no_wrap=True)
    for op in program.operations:
        relus = op.sign_tests if isinstance(op, Activate) else 0
        table.add_row(
            op.name,
            type(op).__name__.lower(),
            "x".join(map(str, op.shape)),
            str(op.frac_bits),
            f"{relus:,}" if relus else "",
            *_window(op, program),
            *(
                f"{moved[key]:,.1f}" if (key := (op.name, phase)) in moved else ""
                for phase in ("offline", "online")
            ),
        )
    return table


def _window(op: Operation, program: Program) -> tuple[str, str]:
    """Bits and fault mode; the range, over the channels, in the units of the original network."""
    if isinstance(op, Linear):
        return f"w 2^-{op.weight_bits}", ""
    if not isinstance(op, Activate):
        return "", ""
    if op.window is None:
        return f"k={op.truncate_bits} {op.mode[:3]}", ""
    source = program.operations[op.inputs[0]]
    low, high = op.window.bounds(op.knots)
    span = f"{low.min() * 2.0**-source.frac_bits:.2g}..{high.max() * 2.0**-source.frac_bits:.2g}"
    return f"n={op.window.bits} {op.window.mode[:3]}", span
