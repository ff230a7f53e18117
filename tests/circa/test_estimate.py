"""The estimate's bytes and rounds are the measured ones, exactly, for every row of the report."""

import pytest
import torch
from torch import Tensor, nn

import circa
from circa import client
from circa.estimate import NETWORKS, Network, estimate
from circa.protocols.relu import NAMES
from circa.report import Report


class Chained(nn.Module):
    """Two linear layers in a row (the second request has to wait), a shortcut, two activations in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 4, 1, stride=2)
        self.c = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4 * 9, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.b(self.a(x)))
        x = nn.functional.relu6(self.c(x) + x)
        logits: Tensor = self.head(x.flatten(1))
        return logits


def measured(model: circa.ConvertedModel, images: int, network: str | Network = "lan") -> tuple[Report, int]:
    with circa.Server(model, port=0) as server, circa.connect(server.address, network=network) as session:
        session.prepare(images)
        session.infer(torch.randn(images, *model.program.input.shape))
        return session.report, session.ot_k


@pytest.mark.parametrize("images", [2])
@pytest.mark.parametrize("relu", [name for name in NAMES if name != "rescale"])
def test_bytes_and_rounds_are_exact(relu: str, images: int) -> None:
    torch.manual_seed(1)
    model = circa.convert(Chained(), torch.randn(32, 2, 6, 6), relu=relu)
    compare(model, images, *measured(model, images))


def compare(model: circa.ConvertedModel, images: int, report: Report, ot_k: int) -> None:
    predicted = estimate(model.program, images, ot_k)
    rows = {(row.layer, row.phase): row for row in predicted.rows}
    assert set(rows) == set(report.rows)
    for key, row in report.rows.items():
        expected = rows[key]
        got = (row.bytes_sent, row.bytes_received, row.rounds)
        assert got == (expected.bytes_sent, expected.bytes_received, expected.rounds), key


def test_every_k_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    model = circa.convert(Chained(), torch.randn(32, 2, 6, 6))
    for k in range(1, 9):
        monkeypatch.setattr(client, "best_k", lambda bandwidth, k=k: k)
        report, agreed = measured(model, 1)
        assert agreed == k
        compare(model, 1, report, k)


def test_the_line_decides_k_and_the_default_is_that_of_connect() -> None:
    model = circa.convert(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(32, 4))
    (_, k_slow), (_, k_fast) = (measured(model, 1, name) for name in ("wan", "lan"))
    assert k_slow > k_fast
    default, given = estimate(model.program), estimate(model.program, ot_k=k_fast)
    assert default == given


def test_seconds_grow_with_the_latency() -> None:
    model = circa.convert(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(32, 4))
    online = [estimate(model.program).total("online", NETWORKS[name]) for name in ("loopback", "lan", "wan")]
    assert online[0]["rounds"] == 2
    seconds = [total["seconds"] for total in online]
    assert seconds == sorted(seconds)
    assert seconds[-1] >= 2 * NETWORKS["wan"].round_trip
