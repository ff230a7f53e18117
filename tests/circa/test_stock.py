"""Stock: what it takes by formula and by its arrays, made in passes, bounded at the server, used once."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import circa
from circa.cli import app
from circa.commands import ANSWER_BYTES, COMMAND_BYTES, Command, recv_answer, send_command
from circa.errors import CheckFailed, ParameterError, RemoteError, StockRefused
from circa.estimate import prepare_traffic
from circa.protocols.relu import NAMES
from circa.stock import Limit, StockLevel, batches, image_bytes, stored

LIMIT = Limit(images=6, bytes=10**6)


class Small(nn.Module):
    """A convolution whose images share polynomials, two knots, average pooling, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.head = nn.Linear(4 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.avg_pool2d(nn.functional.relu6(self.conv(x)), 3)
        logits: Tensor = self.head(torch.relu(x).flatten(1))
        return logits


def convert(**options: Any) -> circa.ConvertedModel:
    torch.manual_seed(1)
    return circa.convert(Small().eval(), torch.randn(32, 2, 6, 6), **options)


@pytest.fixture(scope="module")
def model() -> circa.ConvertedModel:
    return convert()


@pytest.fixture
def server(model: circa.ConvertedModel) -> Iterator[circa.Server]:
    with circa.Server(model, port=0, timeout=5.0, stock_limit=LIMIT) as server:
        yield server


def images(count: int) -> Tensor:
    return torch.randn(count, 2, 6, 6, generator=torch.Generator().manual_seed(5))


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it holds within a few seconds: the server's threads notice closed connections on their own."""
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def prepared_traffic(session: circa.Session, count: int) -> tuple[int, int]:
    before = session.report.total("offline")
    session.prepare(count)
    after = session.report.total("offline")
    return after.bytes_sent - before.bytes_sent, after.bytes_received - before.bytes_received


@pytest.mark.parametrize("relu", [name for name in NAMES if name != "rescale"])
def test_the_arrays_take_what_the_formula_says(relu: str) -> None:
    model = convert(relu=relu)
    with circa.Server(model, port=0) as server, circa.connect(server.address) as session:
        assert prepared_traffic(session, 3) == prepare_traffic(model.program, 3)
        level, expected = session.stock(), stored(model.program, 3)
        assert level == StockLevel(3, expected.client, expected.server, server.stock_limit)
        session.infer(images(1))
        one, left = image_bytes(model.program), session.stock()
    assert (left.images, left.client_bytes, left.server_bytes) == (2, 2 * one.client, 2 * one.server)


def test_bytes_an_image_fall_with_the_batch(model: circa.ConvertedModel) -> None:
    counts = (1, 2, 4, 8, 16, 32)
    each = [sum(prepare_traffic(model.program, n)) / n for n in counts]
    assert all(later < earlier for earlier, later in itertools.pairwise(each))
    assert each[-1] < each[0] / 4
    with circa.Server(model, port=0) as server, circa.connect(server.address) as session:
        for n in (16, 1):
            assert prepared_traffic(session, n) == prepare_traffic(model.program, n)


def test_a_large_number_is_made_in_passes(
    model: circa.ConvertedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sum(prepare_traffic(model.program, 5))
    monkeypatch.setattr("circa.stock.PASS_BYTES", 2 * circa.stock._pass_bytes(model.program))
    assert batches(model.program, 5) == [2, 2, 1]
    seen: list[tuple[int, int]] = []
    with (
        circa.Server(model, port=0) as server,
        circa.connect(server.address, keep_shares=True) as session,
    ):
        assert prepared_traffic(session, 5) == prepare_traffic(model.program, 5)
        assert sum(prepare_traffic(model.program, 5)) > whole
        x = images(5)
        for part in (x[:3], x[3:]):  # across the passes
            assert torch.equal(session.infer(part), model(part, client_shares=session.last_shares))
        session.prepare(4, lambda _, done, total: seen.append((done, total)))
    steps = 2 * (len(model.program.linear) + len(model.program.activations))
    assert seen == sorted(seen)
    assert seen[0] == (0, steps)
    assert seen[-1] == (steps, steps)


def test_passes_are_even_and_add_up(model: circa.ConvertedModel) -> None:
    for count in (1, 7, 4096):
        sizes = batches(model.program, count)
        assert sum(sizes) == count
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("count", [0, -1, 4097, 2.0, float("nan"), "3", None, [1]])
def test_numbers_that_are_refused_before_anything_is_sent(server: circa.Server, count: Any) -> None:
    with circa.connect(server.address) as session:
        before = session._channel.traffic.copy()
        with pytest.raises(ParameterError, match="images takes a whole number from 1 to 4096"):
            session.prepare(count)
        assert session._channel.traffic == before
        session.prepare(np.int64(1))  # type: ignore[arg-type]
        assert session.prepared == 1


def test_the_bound_is_named_before_any_work_and_the_session_goes_on(
    server: circa.Server, model: circa.ConvertedModel
) -> None:
    with circa.connect(server.address, keep_shares=True) as session:
        session.prepare(4)
        before = session._channel.traffic.copy()
        with pytest.raises(StockRefused, match=r"at most 6 images for one client.*; 4 images.*and 3 more"):
            session.prepare(3)
        spent = session._channel.traffic.since(before)
        assert (spent.bytes_sent, spent.bytes_received) == (COMMAND_BYTES, ANSWER_BYTES)
        assert session.stock().images == session.prepared == server.stocked == 4
        with pytest.raises(StockRefused):
            session.infer(images(7))  # prepares the three that are missing
        x = images(4)
        assert torch.equal(session.infer(x), model(x, client_shares=session.last_shares))
        assert session.stock().images == server.stocked == 0  # the answer comes after the release
        session.prepare(6)


def test_the_bound_in_bytes(model: circa.ConvertedModel) -> None:
    size = image_bytes(model.program).server
    limit = Limit(100, 3 * size - 1)
    with (
        circa.Server(model, port=0, stock_limit=limit) as server,
        circa.connect(server.address) as session,
    ):
        with pytest.raises(StockRefused, match=f"at most {limit.bytes:,} bytes .* 3 more of {size:,} bytes"):
            session.prepare(3)
        session.prepare(2)
        assert session.stock().limit == limit


def test_more_sessions_do_not_evade_the_bound(server: circa.Server) -> None:
    with circa.connect(server.address) as first, circa.connect(server.address) as second:
        first.prepare(4)
        second.prepare(2)
        with pytest.raises(StockRefused, match="all its sessions together; 2 images are in stock here"):
            second.prepare(1)
        assert second.stock().images == 2  # its own, not the client's six
        first.close()
        assert eventually(lambda: server.stocked == 2)
        second.prepare(4)


def test_a_client_that_vanishes_in_the_middle_of_prepare_leaves_nothing(server: circa.Server) -> None:
    session = circa.connect(server.address)
    send_command(session._channel, Command.PREPARE, 6)
    recv_answer(session._channel, 0)
    assert server.stocked == 6
    session._party._linear[session.program.linear[0].parameters].request(
        session._channel, session.program.linear[0].geometry, np.zeros((6, 2, 6, 6), np.uint32)
    )
    session._channel.close()  # type: ignore[attr-defined]
    assert eventually(lambda: server.stocked == 0)
    with circa.connect(server.address) as other:
        other.prepare(6)


def test_an_inference_that_fails_half_way_wastes_its_material(
    server: circa.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = circa.connect(server.address)
    session.prepare(3)

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("circa.client.client_online", broken)
    with pytest.raises(KeyboardInterrupt):
        session.infer(images(1))
    assert session.prepared == 2  # what was taken is gone
    monkeypatch.undo()
    for call in (lambda: session.infer(images(1)), lambda: session.prepare(1), session.stock):
        with pytest.raises(ParameterError, match="the session has ended"):
            call()
    assert eventually(lambda: server.stocked == 0)


def test_a_client_that_infers_without_stock_is_told(server: circa.Server) -> None:
    with circa.connect(server.address) as session:
        session.prepare(1)
        send_command(session._channel, Command.INFER, 2)
        with pytest.raises(RemoteError, match="INFER for 2 images, material for 1"):
            session.stock()


def test_a_server_that_counts_otherwise_is_not_believed(server: circa.Server) -> None:
    with circa.connect(server.address) as session:
        session.prepare(1)
        session._stock.take(1)
        with pytest.raises(CheckFailed, match="the server has material for 1 images in stock, the client"):
            session.stock()


def test_the_command(server: circa.Server, model: circa.ConvertedModel) -> None:
    arguments = [server.address, "--prepare", "5", "--network", "wan", "--json"]
    done = CliRunner().invoke(app, ["stock", *arguments])
    assert done.exit_code == 0
    result = json.loads(done.stdout)
    trial = result["prepare"]
    assert trial["measured"] == trial["expected"]
    assert trial["expected"]["server_bytes"] == stored(model.program, 5).server
    assert (result["images"], result["limit"]["images"], result["most_images"]) == (0, 6, 6)
    shown = CliRunner().invoke(app, ["stock", server.address])
    assert shown.exit_code == 0
    assert "bound a client" in shown.stdout
    refused = CliRunner().invoke(app, ["stock", server.address, "--prepare", "7", "--json"])
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"]["kind"] == "StockRefused"


def test_a_server_that_is_stopped_says_so(
    model: circa.ConvertedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> None:
        raise RuntimeError("no workers any more")

    with circa.Server(model, port=0) as server, circa.connect(server.address) as session:
        monkeypatch.setattr("circa.offline.ServerParty.offline", stopped)
        server._stopping = True
        with pytest.raises(RemoteError, match="the server was stopped"):
            session.prepare(1)
        server._stopping = False
