"""What the converter builds runs privately, bit for bit as the simulation says: every kind of operation in
one network.
"""

import pytest
import torch
import torch.nn.functional as F
from networks import settle
from torch import nn

import circa

IMAGES = torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Everything(nn.Module):
    """Knots, a slope, a maximum, two masks, rescales, shortcuts, a concat: 8x8 images in, five logits out."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.a = nn.Conv2d(4, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 6, 3, 2, 1)
        self.down = nn.Conv2d(4, 6, 1, 2, bias=False)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.after = nn.BatchNorm2d(6)
        self.head = nn.Linear(12, 5)
        generator = torch.Generator().manual_seed(1)
        self.register_buffer("zero", (torch.rand(4, 8, 8, generator=generator) < 0.5).float())
        self.register_buffer("identity", (torch.rand(6, 4, 4, generator=generator) < 0.5).float())

    def forward(self, x):
        x = self.stem(x) * self.zero
        x = F.relu6(self.a(x) + x)
        z = self.b(x) + self.down(x)
        x = self.identity * F.relu(z) + (1 - self.identity) * z
        x = self.after(F.leaky_relu(F.hardtanh(self.depthwise(x)), 0.1))
        x = torch.cat([F.max_pool2d(x, 2), 0.3 * F.avg_pool2d(x, 3, 2, 1)], 1)
        return self.head(F.pad(x, (0, 1, 1, 0))[:, :, ::2].mean((2, 3)))


@pytest.mark.parametrize("relu", ["table", "circa"])
def test_private_inference_is_the_simulation(relu):
    torch.manual_seed(3)
    model = settle(Everything())
    converted = circa.convert(model, IMAGES, relu=relu)
    x = IMAGES[:2]
    with circa.Server(converted, port=0) as server, circa.connect(server.address, keep_shares=True) as client:
        client.prepare(2)
        private = client.infer(x)
        shares = client.last_shares
    assert torch.equal(private, converted(x, client_shares=shares))
    with torch.no_grad():
        expected = model(IMAGES)
    assert (private - expected[:2]).abs().max() < 0.5 * expected.std()
