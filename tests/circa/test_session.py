"""A server and a client over TCP on real cryptography: bit for bit the simulation; misuse and failures."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from torch import nn

import circa
from circa.description import announcement, from_json
from circa.errors import HandshakeError, InputError, ParameterError, PeerGone, RemoteError
from circa.transport import connect as open_channel
from circa.transport import parse_address

T = TypeVar("T")


class Residual(nn.Module):
    """Every kind of operation that the first networks need, small."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(4 * 3 * 3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(self.second(x) + x)
        logits: torch.Tensor = self.head(self.pool(x).flatten(1))
        return logits


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(3)
    return Residual().eval()


@pytest.fixture(scope="module")
def converted(network: nn.Module) -> circa.ConvertedModel:
    return circa.convert(network, torch.randn(32, 2, 6, 6, generator=torch.Generator().manual_seed(4)))


@pytest.fixture(scope="module")
def server(converted: circa.ConvertedModel) -> Iterator[circa.Server]:
    with circa.Server(converted, port=0, timeout=5.0) as server:
        yield server


@pytest.fixture
def narrow(converted: circa.ConvertedModel) -> Iterator[circa.Server]:
    """A server for two clients at one time."""
    with circa.Server(converted, port=0, timeout=5.0, max_sessions=2) as server:
        yield server


def images(count: int, seed: int = 5) -> torch.Tensor:
    return torch.randn(count, 2, 6, 6, generator=torch.Generator().manual_seed(seed))


def test_private_inference_is_the_simulation_bit_for_bit(
    server: circa.Server, converted: circa.ConvertedModel, network: nn.Module
) -> None:
    x = images(3)
    with circa.connect(server.address, keep_shares=True) as session:
        private = session.infer(x)
        assert session.program == from_json(announcement(converted.program)) != converted.program
        simulated = converted(x, client_shares=session.last_shares)
    assert torch.equal(private, simulated)
    assert (private - network(x).double()).abs().max() < 0.5


def test_material_is_stocked_split_and_used_once(
    server: circa.Server, converted: circa.ConvertedModel
) -> None:
    x = images(4)
    with circa.connect(server.address, keep_shares=True) as session:
        session.prepare(3)
        assert session.prepared == 3
        offline = session.report.total("offline").bytes_sent
        for part in (x[:1], x[1:3]):
            assert torch.equal(session.infer(part), converted(part, client_shares=session.last_shares))
        assert session.prepared == 0
        assert session.report.total("offline").bytes_sent == offline
        first = session.last_shares
        assert torch.equal(session.infer(x), converted(x, client_shares=session.last_shares))  # makes its own
        assert all((first[name] != session.last_shares[name][:2]).any() for name in first)


def test_one_image_without_a_batch_and_numpy_input(server: circa.Server) -> None:
    with circa.connect(server.address) as session:
        assert session.infer(images(1)[0]).shape == (5,)
        assert session.infer(images(2).numpy().astype(np.float64)).shape == (2, 5)


def test_one_round_trip_for_every_activation_layer(server: circa.Server) -> None:
    with circa.connect(server.address) as session:
        session.prepare(2)
        session.infer(images(2))
        online = session.report.total("online")
        activations = session.program.activations
    elements = 2 * sum(op.elements for op in activations)
    assert online.rounds == len(activations) + 1
    # n = 6, f = 10: 18.75 bytes a ReLU; the rest is the command, the input and the output
    assert [op.shift for op in activations] == [10, 10]
    assert online.bytes_sent + online.bytes_received == 18.75 * elements + 8 + 2 * 4 * (2 * 6 * 6 + 5)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (torch.zeros(1, 2, 6, 5), "shape"),
        (torch.zeros(2, 6), "shape"),
        (torch.zeros(0, 2, 6, 6), "batch"),
        (torch.zeros(1, 2, 6, 6, dtype=torch.int64), "int64"),
        (torch.zeros(1, 2, 6, 6, dtype=torch.complex64), "complex64"),
        (torch.full((1, 2, 6, 6), torch.nan), "NaN"),
        (torch.full((1, 2, 6, 6), torch.inf), "infinit"),
        (torch.full((1, 2, 6, 6), 1e12), "values beyond"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    server: circa.Server, x: torch.Tensor, text: str
) -> None:
    with circa.connect(server.address) as session:
        before = session._channel.traffic.copy()
        with pytest.raises(InputError, match=text):
            session.infer(x)
        assert session._channel.traffic == before
        assert session.infer(images(1)).shape == (1, 5)  # the session goes on


def test_another_model_than_expected(server: circa.Server) -> None:
    with pytest.raises(HandshakeError, match="the server offers model"):
        circa.connect(server.address, expect="0" * 64)
    circa.connect(server.address, expect=server.model_hash).close()


def when_free(attempt: Callable[[], T]) -> T:
    """Its result once the server has noticed, in threads of its own, that other clients are gone."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return attempt()
        except RemoteError as error:
            if "busy" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def test_the_server_lives_on_after_clients_that_vanish_or_talk_nonsense(narrow: circa.Server) -> None:
    host, port = parse_address(narrow.address, 0)
    for nonsense in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256))):
        with socket.create_connection((host, port)) as sock:
            sock.sendall(nonsense)
    session = when_free(lambda: circa.connect(narrow.address))
    session._channel._sock.close()  # vanishes without a word  # type: ignore[attr-defined]

    def greet_wrongly() -> None:
        with closing(open_channel(host, port, 5.0)) as channel:
            channel.send(b"\0" * 12)
            channel.recv(8)

    with pytest.raises(RemoteError, match="not a Circa client"):
        when_free(greet_wrongly)
    with when_free(lambda: circa.connect(narrow.address)) as session:
        assert session.infer(images(1)).shape == (1, 5)


def test_a_client_too_many_is_told(narrow: circa.Server) -> None:
    first, second = circa.connect(narrow.address), circa.connect(narrow.address)
    with pytest.raises(RemoteError, match="busy"), first, second:
        circa.connect(narrow.address)
    when_free(lambda: circa.connect(narrow.address)).close()


def test_a_server_that_vanishes_ends_the_session_with_one_error(converted: circa.ConvertedModel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts, then says nothing
        start = time.monotonic()
        with pytest.raises(PeerGone, match="no sign of life"):
            circa.connect(f"127.0.0.1:{listener.getsockname()[1]}", timeout=0.5)
        assert time.monotonic() - start < 5


def test_a_failed_session_says_so(server: circa.Server) -> None:
    with circa.connect(server.address) as session:
        session._channel.send(b"not a command")  # type: ignore[attr-defined]
        with pytest.raises(RemoteError, match="expected a message of 8 bytes"):
            session.infer(images(1))
        with pytest.raises(ParameterError, match="the session has ended"):
            session.infer(images(1))


def test_a_port_in_use_is_named(server: circa.Server, converted: circa.ConvertedModel) -> None:
    _, port = parse_address(server.address, 0)
    with pytest.raises(ParameterError, match=f"cannot listen at 127.0.0.1:{port}"):
        circa.Server(converted, port=port)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"port": 65536}, "port takes a whole number from 0 to 65535"),
        ({"port": "7766"}, "port takes .* not '7766'"),
        ({"timeout": 0.0}, "timeout .* takes a number"),
        ({"timeout": float("inf")}, "timeout .* takes a number"),
        ({"max_sessions": 0}, "max_sessions takes"),
        ({"stock_limit": 5}, "stock_limit takes a Limit, not 5"),
        ({"host": None}, "host takes a str, not None"),
        ({"host": "::1"}, "cannot listen at ::1:0: Address family .*; choose an address"),
        ({"workers": "2"}, "workers takes"),
        ({"memory": None}, "memory .* takes"),
        ({"model": None}, "not a NoneType"),
        ({"model": nn.Linear(2, 2)}, r"not a Linear: circa\.convert makes"),
        ({"model": "nowhere.circa"}, "nowhere.circa: cannot be read"),
    ],
)
def test_a_server_of_something_else(
    converted: circa.ConvertedModel, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(ParameterError, match=text):
        circa.Server(**{"model": converted, "port": 0, **arguments})


@pytest.mark.parametrize("address", [5, None, b"127.0.0.1:7766", ("127.0.0.1", 7766)])
def test_an_address_of_another_type(address: Any) -> None:
    with pytest.raises(ParameterError, match="an address is a text, host:port, not"):
        circa.connect(address)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        *(({"timeout": t}, "timeout .* takes a number") for t in (0.0, -1.0, float("nan"), 1e20, "5", None)),
        *(({"network": line}, "unknown network .*: choose") for line in ("moon", 5, None, ["lan"])),
        ({"expect": 5}, "expect takes a model's hash"),
    ],
)
def test_options_of_a_session(server: circa.Server, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        circa.connect(server.address, **arguments)
