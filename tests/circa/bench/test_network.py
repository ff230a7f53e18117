"""`circa bench network`: its fields, its numbers against the estimate, its trace and figure."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import circa
from circa.bench.architectures import ARCHITECTURES
from circa.cli import app
from circa.estimate import Estimate, estimate
from circa.network import network
from circa.protocols.ot.choice import best_k

FIELDS = [
    "model", "protocol", "network", "offline_seconds", "online_seconds", "offline_bytes_up",
    "offline_bytes_down", "online_bytes_up", "online_bytes_down", "online_rounds", "client_stored_bytes",
    "server_stored_bytes", "peak_rss_client", "peak_rss_server", "per_layer",
]  # fmt: skip
PHASES = ("offline", "online")
IMAGES = 2
LINES = ("loopback", "wan")


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["bench", "network", *map(str, arguments)])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(64, 3)
    )
    path = tmp_path_factory.mktemp("model") / "tiny.circa"
    circa.convert(layers, torch.randn(32, 1, 8, 8)).save(path)
    return path


@pytest.fixture(scope="module")
def run(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run over two lines: rows, trace, the figure's path."""
    folder = tmp_path_factory.mktemp("out")
    trace, figure = folder / "trace.json", folder / "figure.png"
    lines = [argument for name in LINES for argument in ("--network", name)]
    options = ("--images", IMAGES, "--repeat", 1, "--json", "--trace", trace, "--figure", figure)
    done = invoke("--model", model, *lines, *options)
    assert done.exit_code == 0, done.output
    return {
        "rows": [json.loads(line) for line in done.stdout.splitlines()],
        "trace": json.loads(trace.read_text())["traceEvents"],
        "figure": figure,
    }


@pytest.fixture(scope="module")
def predicted(model: Path) -> dict[str, Estimate]:
    """For both lines: the wide one takes another k."""
    program = circa.ConvertedModel.load(model).program
    return {name: estimate(program, IMAGES, best_k(network(name).bits_per_second)) for name in LINES}


def test_rows_have_the_fields(run):
    assert [row["network"] for row in run["rows"]] == ["loopback", "wan"]
    for row in run["rows"]:
        assert list(row) == [*FIELDS, "first", "further", "environment"]
        assert (row["model"], row["protocol"]) == ("tiny.circa", "table")
        where = row["environment"]
        assert where["security"]["kappa"] == 128
        assert where["security"]["statistical"] == 40
        assert where["security"]["he"][0]["name"] == "B4096"
        assert where["security"]["ot"]["k"] == best_k(network(row["network"]).bits_per_second)
        assert where["modulus"] == str(2**32)
        assert (where["threads_per_party"], where["images"], where["window_bits"]) == (1, IMAGES, [6])
        assert {"cpu", "native_kernels", "commit", "link"} <= set(where)
        assert set(row["further"]) == {"offline_seconds", "online_seconds"}
        assert set(row["first"]) == {"offline_seconds", "online_seconds", "weights_seconds"}
        seconds = [row["offline_seconds"], row["online_seconds"], *row["first"].values()]
        assert all(0 < value < 60 for value in [*seconds, *row["further"].values()])


def test_bytes_and_rounds_are_those_of_the_estimate(run, predicted):
    for row in run["rows"]:
        for phase in PHASES:
            expected_rows = predicted[row["network"]].rows
            chosen = [expected for expected in expected_rows if expected.phase == phase]
            assert row[f"{phase}_bytes_up"] == sum(expected.bytes_sent for expected in chosen)
            assert row[f"{phase}_bytes_down"] == sum(expected.bytes_received for expected in chosen)
            if phase == "online":
                assert row["online_rounds"] == sum(expected.rounds for expected in chosen)


def test_layers_are_those_of_the_estimate_and_sum_up(run, predicted):
    for row in run["rows"]:
        expected = {
            (row.layer, row.phase): (row.kind, row.bytes_sent, row.bytes_received, row.rounds)
            for row in predicted[row["network"]].rows
        }
        layers = {(layer["layer"], layer["phase"]): layer for layer in row["per_layer"]}
        assert len(layers) == len(row["per_layer"])
        for key, (kind, up, down, rounds) in expected.items():
            layer = layers.pop(key)
            got = (layer["kind"], layer["bytes_up"], layer["bytes_down"], layer["rounds"])
            assert got == (kind, up, down, rounds), key
            assert layer["seconds"] > 0
            assert layer["peak_rss_client"] > 1 << 20
        for layer in layers.values():  # the server alone works here
            assert (layer["bytes_up"], layer["bytes_down"], layer["seconds"]) == (0, 0, 0.0)
            assert layer["server_seconds"] > 0
            assert layer["peak_rss_server"] > 1 << 20
        for phase in PHASES:
            chosen = [layer for layer in row["per_layer"] if layer["phase"] == phase]
            for way in ("up", "down"):
                assert row[f"{phase}_bytes_{way}"] == sum(layer[f"bytes_{way}"] for layer in chosen)


def test_stored_bytes_are_those_of_the_estimate(run, predicted):
    for row in run["rows"]:
        stored = (row["client_stored_bytes"], row["server_stored_bytes"])
        expected = predicted[row["network"]]
        assert stored == (expected.client_stored, expected.server_stored)
        peaks = [layer[key] for layer in row["per_layer"] for key in ("peak_rss_client", "peak_rss_server")]
        assert max(peaks) <= max(row["peak_rss_client"], row["peak_rss_server"])


def test_the_line_is_felt(run, predicted):
    """Round trips alone, which no computation can hide, are there in the seconds over the line."""
    wan = run["rows"][1]
    for phase in PHASES:
        rounds = sum(row.rounds for row in predicted["wan"].rows if row.phase == phase)
        assert wan[f"{phase}_seconds"] > 0.04 * rounds


def test_trace_events_nest_in_their_phases(run):
    tracks = defaultdict(list)
    names = {}
    for event in run["trace"]:
        assert event["ph"] in ("X", "M")
        if event["ph"] == "M":
            if event["name"] == "process_name":
                names[event["pid"]] = event["args"]["name"]
            continue
        assert event["ts"] >= 0
        assert event["dur"] >= 0
        tracks[event["pid"], event["tid"]].append(event)
    assert list(names.values()) == [
        f"{party}: tiny.circa, {line}" for line in ("loopback", "wan") for party in ("client", "server")
    ]
    for pid in names:
        events = tracks[pid, 0]
        assert [e["name"] for e in events if e["cat"] == "phase"] == ["offline", "online"]
        assert {"0", "1", "session", "4"} <= {e["name"] for e in events}
        open_until: list[tuple[int, str]] = []
        for event in sorted(events, key=lambda e: (e["ts"], -e["dur"])):
            start = round(1000 * event["ts"])  # ns
            end = start + round(1000 * event["dur"])
            while open_until and open_until[-1][0] <= start:
                open_until.pop()
            assert not open_until or end <= open_until[-1][0], event
            if event["cat"] != "phase":
                assert event["cat"].startswith(open_until[0][1])  # inside its own phase
            open_until.append((end, event["name"]))


def test_figure_is_written(run):
    assert run["figure"].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "resnet21"), "no network is called 'resnet21'"),
        (("--peer", "tenseal"), "unknown peer 'tenseal'"),
        (("--network", "wifi"), "unknown network 'wifi'"),
        (("--bandwidth", "0"), "a bandwidth of 0.0 Mbit/s"),
        (("--latency", "-1"), "a round trip of -1.0 ms"),
        (("--relu", "rely"), "unknown ReLU protocol 'rely'"),
        (("--repeat", "0"), "--repeat 0 is outside 1 to 100"),
        (("--images", "0"), "--images 0 is outside 1 to"),
        (("--threads", "0"), "--threads 0 is outside 1 to"),
        (("--figure", "figure.doc"), "must end in .png, .svg, .pdf"),
    ],
)
def test_bad_arguments_are_one_line(arguments, said):
    done = invoke(*arguments)
    assert done.exit_code == 1
    assert said in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.output


def test_a_file_that_is_no_model_is_one_line(tmp_path):
    (tmp_path / "x.circa").write_bytes(b"nothing")
    done = invoke("--model", tmp_path / "x.circa")
    assert done.exit_code == 1
    assert "Traceback" not in done.output


def test_architectures_have_the_relus_of_the_papers():
    """Without conversion, which takes long: the activations' sizes, by running the network."""
    counts = {}
    for name in ("resnet20", "resnet32", "resnet18", "resnet18_64"):
        architecture = ARCHITECTURES[name]
        counts[name] = _relus(architecture.build(), architecture.shape)
    assert counts == {"resnet20": 188416, "resnet32": 303104, "resnet18": 557056, "resnet18_64": 2228224}


def _relus(model: nn.Module, shape: tuple[int, ...]) -> int:
    sizes: list[int] = []

    class Counting(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, arguments=(), options=None):
            result = function(*arguments, **(options or {}))
            if function is torch.nn.functional.relu:
                sizes.append(result.numel())
            return result

    with torch.no_grad(), Counting():
        model(torch.zeros(1, *shape))
    return sum(sizes)
