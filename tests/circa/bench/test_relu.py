"""A row: its fields, its bytes against the protocol's formula and the design's numbers, its ratios."""

from dataclasses import replace

import numpy as np
import pytest

from circa.bench import relu as bench
from circa.bench.cases import RELUS, Case, grid
from circa.bench.inputs import sample
from circa.bench.loopback import LoopbackError
from circa.bench.loopback import measure as measure_loopback
from circa.bench.rows import RATIOS, Row, add_ratios
from circa.protocols import relu
from circa.protocols.errors import CircaError

ELEMENTS = 64
FIELDS = [  # of issue 3
    "protocol",
    "modulus",
    "k",
    "n",
    "and_gates",
    "table_bytes",
    "client_stored_bytes",
    "server_stored_bytes",
    "offline_bytes",
    "online_bytes",
    "online_rounds",
    "online_us",
    "relus_per_second",
]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Every protocol once."""
    cases = grid(elements=ELEMENTS, bits=(6,), truncate=(12,))
    rows = [bench.measure(case, 1) for case in cases]
    add_ratios(rows)
    return rows


def test_every_row_has_the_fields(rows):
    assert [row.protocol for row in rows] == list(RELUS)
    for row in rows:
        fields = row.to_dict()
        assert [name for name in FIELDS if fields[name] is None] in (["k", "n"], ["k"], ["n"])
        assert fields["online_us"] > 0
        assert fields["relus_per_second"] == pytest.approx(1e6 / fields["online_us"])
        assert fields["online_us_min"] <= fields["online_us"] <= fields["online_us_max"]


def test_the_published_counts(rows):
    ands = {row.protocol: row.and_gates for row in rows}
    assert ands == {
        "delphi": 240,
        "circa-sign": 145,
        "circa-stochastic": 62,
        "circa": 50,
        "window-garbled": 5,
        "table": 0,
    }
    assert all(row.table_bytes == 32 * row.and_gates for row in rows)
    assert all((row.garble_us is None) == (row.and_gates == 0) for row in rows)


def test_bytes_are_those_of_the_cost(rows):
    for row in rows:
        case = Case(row.protocol, ELEMENTS, row.shift, k=row.k, n=row.n)
        cost = relu.by_name(row.protocol).cost(case.activation(), 1)
        per_relu = [row.offline_bytes_up, row.offline_bytes_down, row.online_bytes_up, row.online_bytes_down]
        assert [ELEMENTS * value for value in per_relu] == [
            cost.offline.up,
            cost.offline.down,
            cost.online.up,
            cost.online.down,
        ]
        assert row.offline_bytes == row.offline_bytes_up + row.offline_bytes_down
        assert row.online_bytes == row.online_bytes_up + row.online_bytes_down
        assert ELEMENTS * row.client_stored_bytes == cost.receiver_stored


def test_ratios_are_quotients_of_the_rows(rows):
    delphi, others = rows[0], rows[1:]
    assert delphi.ratios is None
    for row in others:
        for name in RATIOS:
            if getattr(row, name):
                assert row.ratios[name] == getattr(delphi, name) / getattr(row, name)
            else:
                assert name not in row.ratios  # no garbled tables: no quotient
    table, circa = others[-1], next(row for row in others if row.protocol == "circa")
    assert circa.ratios["table_bytes"] == 4.8
    assert table.ratios["client_stored_bytes"] > 100
    assert table.ratios["online_bytes"] > 25


def test_no_ratio_to_a_baseline_of_another_shift():
    rows = [Row("delphi", "p", 8, shift=0, online_us=2.0), Row("table", "2^32", 8, shift=8, online_us=1.0)]
    add_ratios(rows)
    assert rows[1].ratios is None
    peer = Row("crypten-tfp", "2^64", 8, online_us=4.0)
    add_ratios([*rows, peer])
    assert peer.ratios == {"online_us": 0.5}


@pytest.mark.parametrize(
    ("phase", "field"), [("offline", "up"), ("online", "down"), ("online", "rounds"), (None, "sender_stored")]
)
def test_a_cost_that_is_not_what_moved_is_an_error(monkeypatch, phase, field):
    protocol = type(relu.by_name("table"))
    honest = protocol.cost

    def wrong(self, act, batch):
        cost = honest(self, act, batch)
        if phase is None:
            return replace(cost, **{field: getattr(cost, field) + 1})
        part = getattr(cost, phase)
        return replace(cost, **{phase: replace(part, **{field: getattr(part, field) + 1})})

    monkeypatch.setattr(protocol, "cost", wrong)
    with pytest.raises(bench.CostMismatch, match=r"table n=6 on 64 elements .* not \d+"):
        bench.measure(Case("table", ELEMENTS, n=6), 1)


@pytest.mark.parametrize("protocol", ["delphi", "circa-sign"])
def test_evaluate_gives_the_relu(protocol):
    z = sample(ELEMENTS)
    assert np.array_equal(bench.evaluate(Case(protocol, ELEMENTS), z), np.maximum(z, 0))


def test_two_processes_over_loopback():
    cases = grid(("table",), ELEMENTS, bits=(4, 6))
    rows = [Row("table", "2^32", ELEMENTS, n=case.n) for case in cases]
    measure_loopback(cases, rows, 1)
    for row in rows:
        assert row.loopback_online_us > 0
        assert row.loopback_offline_us > 0
        assert row.loopback_online_cpu_us > 0


def test_a_failing_process_is_reported():
    broken = Case("table", ELEMENTS, n=None)  # without a window
    with pytest.raises((LoopbackError, CircaError), match="window"):
        measure_loopback([broken], [Row("table", "2^32", ELEMENTS)], 1)
