"""Which layers go together, and the round trips that each adds."""

import pytest
import torch
from torch import nn

import circa
from circa import grouping
from circa.estimate import estimate


@pytest.fixture(scope="module")
def model() -> circa.ConvertedModel:
    torch.manual_seed(0)
    layers = [layer for _ in range(5) for layer in (nn.Linear(8, 8), nn.ReLU())]
    return circa.convert(nn.Sequential(*layers, nn.Linear(8, 3)), torch.randn(64, 8))


@pytest.mark.parametrize(
    ("rounds", "added"),
    [([1, 1, 1], [1, 0, 0]), ([1, 3, 2, 4], [1, 2, 0, 1]), ([0, 1, 0], [0, 1, 0]), ([], [])],
)
def test_a_layer_adds_what_those_before_it_do_not_take(rounds: list[int], added: list[int]) -> None:
    assert grouping.added_rounds(rounds) == added


def test_groups_end_at_their_size(model: circa.ConvertedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    ops = list(model.program.activations)
    (everything,) = grouping.groups(model.program, 1, 6)
    assert [op for op, _ in everything] == ops
    size = everything[0][1].offline
    for most, count in ((1, 1), (2, 2), (5, 5)):
        monkeypatch.setattr(grouping, "GROUP_BYTES", most * (size.down + size.up))
        found = grouping.groups(model.program, 1, 6)
        assert [len(group) for group in found] == [count] * (5 // count) + [5 % count] * (5 % count > 0)
        assert [op for group in found for op, _ in group] == ops


@pytest.mark.parametrize("most", [1, 600, 1 << 25])
def test_the_offline_phase_takes_a_round_trip_a_group(
    model: circa.ConvertedModel, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(grouping, "GROUP_BYTES", most)
    with circa.Server(model, port=0) as server, circa.connect(server.address) as session:
        session.infer(torch.randn(2, 8))
        report, k = session.report, session.ot_k
    predicted = {(row.layer, row.phase): row.rounds for row in estimate(model.program, 2, k).rows}
    assert {key: row.rounds for key, row in report.rows.items()} == predicted
    waits = [report.rows[op.name, "offline"].rounds for op in model.program.activations]
    assert sum(waits) == len(grouping.groups(model.program, 2, k))
