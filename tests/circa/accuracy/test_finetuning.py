"""Fine-tuning under faults: better under faults than before, and nothing else is touched."""

import copy

import pytest
import torch
from torch import nn

import circa
from circa.accuracy import sweep, with_truncation, with_windows
from circa.errors import ParameterError
from circa.finetuning import finetune, imitation


@pytest.fixture(scope="module")
def batches(network):
    x = torch.randn(512, 2, 6, 6, generator=torch.Generator().manual_seed(8))
    with torch.no_grad():
        return list(zip(x.split(32), network(x).argmax(1).split(32), strict=True))


def test_accuracy_under_faults_rises(network, batches, calibration, test_images, labels):
    torch.manual_seed(0)
    before = copy.deepcopy(network.state_dict())
    steps = []
    tuned = finetune(network, batches, 2, epochs=3, learning_rate=0.05,
                     progress=lambda *step: steps.append(step))  # fmt: skip
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not tuned.training
    assert steps[-1][1:] == (48, 48)
    assert steps[-1][0].startswith("epoch 3 of 3, loss ")
    accuracy = []
    for model in (network, tuned):
        converted = circa.convert(model, calibration)
        found = sweep(converted, test_images, labels, bits=(2,), modes=("balanced",), runs=4)
        accuracy.append(found.points[0].score.accuracy)
    assert accuracy[1] > accuracy[0] + 5


def test_a_tuned_model_gives_its_windows(network, batches, converted):
    mixed = with_windows(converted, {converted.program.activations[1].name: 3})
    assert finetune(network, batches[:2], mixed) is not network
    with pytest.raises(ParameterError, match="protocol 'circa' has no windows"):
        finetune(network, batches[:1], with_truncation(converted, 12))


def test_seeds_repeat(network, batches):
    found = [
        finetune(network, batches[:4], 3, generator=torch.Generator().manual_seed(seed)).head.weight
        for seed in (1, 1, 2)
    ]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_bad_settings(network, batches):
    for arguments, text in (
        ({"bits": 1}, "a window of 1 bits"),
        ({"mode": "middle"}, "mode 'middle'"),
        ({"epochs": 0}, "epochs >= 1"),
        ({"learning_rate": 0.0}, "learning rate > 0"),
        ({"margin": 0.5}, "margin >= 1"),
        ({"bits": [4, 4]}, "2 windows for 3 activations"),
    ):
        with pytest.raises(ParameterError, match=text):
            finetune(network, batches[:1], **arguments)
    with pytest.raises(ParameterError, match="gave nothing"):
        finetune(network, iter(batches[:1]), 4)
    with pytest.raises(ParameterError, match="calls no activation"):
        finetune(nn.Sequential(nn.Flatten(), nn.Linear(72, 5)), batches[:1], 4)


def test_the_network_imitates_itself_unless_told_otherwise(network, batches):
    wrong = [(x, torch.zeros_like(labels)) for x, labels in batches]
    seeds = [torch.Generator().manual_seed(1) for _ in range(3)]
    heads = [
        finetune(network, batches[:4], 3, generator=seeds[0]).head.weight,
        finetune(network, wrong[:4], 3, generator=seeds[1]).head.weight,
        finetune(network, wrong[:4], 3, generator=seeds[2], loss=nn.functional.cross_entropy).head.weight,
    ]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[1], heads[2])


def test_imitation_is_least_where_the_probabilities_agree():
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]])
    assert imitation(logits + 7, logits).item() == pytest.approx(0, abs=1e-6)
    p, q = (logits[0] / 2).softmax(0), (logits[1] / 2).softmax(0)
    expected = 4 * (p * (p / q).log()).sum()
    assert imitation(logits[1:], logits[:1]).item() == pytest.approx(expected.item(), rel=1e-5)


def test_training_that_diverges_is_stopped(network, batches):
    with pytest.raises(ParameterError, match=r"diverges in epoch 1: .* lower learning rate than 1e"):
        finetune(network, batches, 2, learning_rate=1e12)
