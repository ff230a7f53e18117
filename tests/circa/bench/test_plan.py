"""A network exported for the peers computes what ours does; rows of whole networks from what a script prints.

CrypTen's layers run here on plain tensors, behind the few methods of CrypTen that they use.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import circa
from circa.bench.peers import CRYPTEN, SPU, PeerError, crypten_layers, environments, inference, plan


class Plain(Tensor):
    """A tensor with CrypTen's names for things."""

    def pad(self, padding):
        return nn.functional.pad(self, tuple(padding))

    def conv2d(self, weight, stride, groups):
        return nn.functional.conv2d(self, weight, stride=stride, groups=groups)

    def avg_pool2d(self, kernel, stride, padding):
        return nn.functional.avg_pool2d(self, kernel, stride, padding)


CRYPTEN_STUB = SimpleNamespace(
    cryptensor=lambda tensor, src: tensor.as_subclass(Plain),
    cat=lambda tensors, dim: torch.cat(tensors, dim),
)


class Block(nn.Module):
    """A residual block with a padded shortcut, then pooling and a head: what a ResNet is made of."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.b = nn.Conv2d(4, 4, 3, padding=1, groups=groups)
        self.bn = nn.BatchNorm2d(4)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        short = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1))
        out = torch.relu(self.bn(self.b(torch.relu(self.a(x)))) + short)
        out = torch.cat([out, -0.5 * out], 1)
        return self.head(nn.functional.avg_pool2d(out, 4).flatten(1))


@pytest.fixture(scope="module")
def model() -> circa.ConvertedModel:
    torch.manual_seed(0)
    return circa.convert(Block(2).eval(), torch.randn(64, 2, 8, 8))


def test_the_plan_computes_what_the_network_does(model, tmp_path):
    path = tmp_path / "plan.npz"
    path.write_bytes(plan.export(model.program, model.weights))
    x = torch.randn(5, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    network = crypten_layers.load(CRYPTEN_STUB, str(path))
    theirs = network(x.as_subclass(Plain)).as_subclass(Tensor).double()
    ours = model(x)
    assert ours.abs().max() > 0.3
    assert (ours - theirs).abs().max() < 0.05  # rounding to 12 bits and the sign test's faults next to zero


def test_a_layer_that_peers_do_not_have_is_named(tmp_path):
    layers = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU6(), nn.Flatten(), nn.Linear(2 * 36, 2))
    converted = circa.convert(layers, torch.randn(32, 1, 8, 8))
    with pytest.raises(PeerError, match="another Activate"):
        plan.export(converted.program, converted.weights)


def test_rows_of_a_network(model, tmp_path, monkeypatch):
    path = tmp_path / "block.circa"
    model.save(path)
    given = {}

    def run_setting(peer, setting, values, repeat, isolated, network):
        given[setting.name] = (values, network)
        spent = {"seconds": 0.5, "cpu_seconds": 0.25, "line_bytes": 1024, "rounds": 9}
        party = {"online": [spent] * repeat, "peak_bytes": 7}
        if peer.split:
            party["offline"] = [{**spent, "seconds": 0.25, "line_bytes": 512}] * repeat
        return {"version": "1.0", "parties": [party, party]}, np.zeros((2, 3))

    monkeypatch.setattr(inference, "run_setting", run_setting)
    monkeypatch.setattr(inference, "can_isolate", lambda: True)
    row = inference.measure(CRYPTEN, "block", path, images=2, repeat=3)[0]
    values, network = given["crypten-tfp"]
    assert values.shape == (2, 2, 8, 8)
    assert network == plan.export(model.program, model.weights)
    assert (row.model, row.protocol, row.network) == ("block", "crypten-tfp", "loopback")
    assert (row.offline_seconds, row.online_seconds, row.online_rounds) == (0.25, 0.5, 9)
    assert (row.environment["offline_bytes"], row.environment["online_bytes"]) == (512, 1024)
    assert "trusted first party" in row.assumes
    ours = model(torch.from_numpy(values / 2.0**16).float())
    difference = row.environment["agreement"]["largest_logit_difference"]
    assert difference == pytest.approx(ours.abs().max().item(), rel=0.1)
    for row in inference.measure(SPU, "block", path, images=2):
        assert row.offline_seconds is None
        assert row.environment["online_includes_offline"]
        assert "offline_bytes" not in row.environment


@pytest.mark.slow
@pytest.mark.parametrize("peer", [CRYPTEN, SPU], ids=lambda peer: peer.name)
def test_the_real_peer_computes_the_same_network(peer, tmp_path):
    """Without groups, in which SPU 0.9.5 dies."""
    if not environments.is_installed(peer):
        pytest.skip(f"not installed: circa bench peers install {peer.name}")
    path = tmp_path / "block.circa"
    circa.convert(Block(1).eval(), torch.randn(64, 2, 8, 8)).save(path)
    for row in inference.measure(peer, "block", path):
        assert row.environment["agreement"]["largest_logit_difference"] < 0.05, row.protocol
