"""The summary's kilobytes and ReLUs are the estimate's, for every kind of operation."""

import torch
from networks import settle
from zoo import Everything

import circa
from circa.estimate import estimate
from circa.summary import summary


def test_a_row_for_every_operation_with_its_cost() -> None:
    torch.manual_seed(3)
    program = circa.convert(settle(Everything()), torch.randn(24, 3, 8, 8)).program
    table = summary(program)
    cells = {column.header.strip(): list(column.cells) for column in table.columns}
    assert cells["layer"] == [op.name for op in program.operations]
    relus = {op.name: f"{op.sign_tests:,}" for op in program.activations if op.sign_tests}
    assert {name: n for name, n in zip(cells["layer"], cells["ReLUs"], strict=True) if n} == relus
    for phase in ("offline", "online"):
        rows = {
            row.layer: row.bytes_sent + row.bytes_received
            for row in estimate(program).rows
            if row.phase == phase
        }
        for name, shown in zip(cells["layer"], cells[f"{phase}\nkB"], strict=True):
            assert shown == (f"{rows[name] / 1e3:,.1f}" if name in rows else "")
