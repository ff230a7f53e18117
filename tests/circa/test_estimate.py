"""The estimate's bytes and rounds are the measured ones, exactly, for every row of the report."""

from functools import partial

import pytest
import torch
from estimates import check_estimate
from torch import Tensor, nn

import circa
from circa import client, rates
from circa.estimate import NETWORKS, Estimate, EstimateRow, Network, estimate
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
    report, ot_k = measured(model, images)
    check_estimate(report, estimate(model.program, images, ot_k))


def test_every_k_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    model = circa.convert(Chained(), torch.randn(32, 2, 6, 6))
    for k in range(1, 9):
        monkeypatch.setattr(client, "best_k", lambda bandwidth, k=k: k)
        report, agreed = measured(model, 1)
        assert agreed == k
        check_estimate(report, estimate(model.program, 1, k))


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


LINE = Network("line", 8e6, 0.5)  # a byte a microsecond


def row(kind: str, phase: str, sent: int, received: int, rounds: int, **units: float) -> EstimateRow:
    return EstimateRow("a", kind, phase, sent, received, rounds, units)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["setup", "linear", "activate"])
def test_offline_the_slowest_of_parties_and_directions_counts(kind: str, monkeypatch) -> None:
    monkeypatch.setattr(rates, "RATES", {"request": (1.0, 3.0)})
    monkeypatch.setattr(rates, "LONGEST_WAKING", 0.0)
    of = partial(row, kind, "offline")
    assert of(2_000_000, 1_000_000, 1, request=0.5).seconds(LINE) == pytest.approx(2.0 + 0.5)  # upwards
    assert of(0, 4_000_000, 0, request=0.5).seconds(LINE) == pytest.approx(4.0)  # downwards
    assert of(1_000_000, 1_000_000, 2, request=2).seconds(LINE) == pytest.approx(6.0 + 1.0)  # the server


def test_offline_layers_overlap_and_kinds_do_not(monkeypatch) -> None:
    monkeypatch.setattr(rates, "RATES", {"request": (1.0, 3.0), "setup": (0.25, 0.25)})
    monkeypatch.setattr(rates, "LONGEST_WAKING", 0.0)
    rows = (
        row("setup", "offline", 0, 0, 2, setup=1),
        row("linear", "offline", 9_000_000, 0, 1, request=1),
        row("linear", "offline", 0, 0, 0, request=3),
        row("activate", "offline", 0, 5_000_000, 1),
    )
    total = Estimate(1, rows, 0, 0, 0).total("offline", LINE)["seconds"]
    assert total == pytest.approx((0.25 + 1.0) + (12.0 + 0.5) + (5.0 + 0.5))  # 12: 4 requests at the server
    assert total < sum(part.seconds(LINE) for part in rows)


def test_online_the_parties_take_turns(monkeypatch) -> None:
    monkeypatch.setattr(rates, "RATES", {"message": (1.0, 3.0)})
    monkeypatch.setattr(rates, "LONGEST_WAKING", 0.125)
    rows = (row("activate", "online", 1_000_000, 2_000_000, 1, message=1), row("output", "online", 0, 0, 1))
    assert Estimate(1, rows, 0, 0, 0).total("online", LINE)["seconds"] == pytest.approx(
        4.0 + 3.0 + 2 * (0.5 + 0.125)
    )


def test_nobody_sleeps_where_the_answer_comes_at_once() -> None:
    assert rates.waking(0.0) == 0
    assert rates.waking(NETWORKS["loopback"].round_trip) < rates.waking(NETWORKS["lan"].round_trip)
    assert rates.waking(NETWORKS["lan"].round_trip) == rates.waking(NETWORKS["wan"].round_trip)


@pytest.mark.parametrize("relu", ["table", "delphi"])
def test_every_unit_of_work_has_a_rate_and_is_used(relu: str) -> None:
    model = circa.convert(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(32, 4))
    predicted = estimate(model.program)
    units = {name for part in predicted.rows for name in part.units}
    assert units == set(rates.RATES)
    assert all(sum(part.work) > 0 for part in predicted.rows if part.units)


def test_correlated_ots_are_counted_from_the_formulas() -> None:
    """Six for the index of a table of 2^6, and two for the select with a rescale's two more."""
    model = circa.convert(nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2)), torch.randn(32, 4))
    [activation] = [part for part in estimate(model.program).rows if "cot" in part.units]
    assert activation.units["cot"] == pytest.approx(64 * 10)
