"""Windows by layer: the guide, the path, the search, the command."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import circa
from circa.accuracy import tune, with_truncation, with_windows
from circa.accuracy.draws import Drawn
from circa.accuracy.front import draw
from circa.accuracy.sensitivity import distortions, layer_bytes
from circa.accuracy.sweep import online_bytes
from circa.accuracy.tuning import path
from circa.cli import app
from circa.errors import ParameterError
from circa.masks import Mask
from circa.simulate import exact_activation, run, simulate

BITS = (2, 5, 8)
BUDGET = 1.0


@pytest.fixture(scope="module")
def tuned(converted, test_images, labels):
    return tune(converted, test_images, labels, budget=BUDGET, bits=BITS, evaluations=8)


def test_the_result_is_within_the_budget_and_cheaper(tuned, converted):
    assert tuned.satisfied
    assert tuned.chosen.score.difference >= -BUDGET
    assert tuned.confirmed.difference >= -BUDGET
    finest = with_windows(converted, max(BITS))
    assert tuned.chosen.online_bytes < online_bytes(finest.program)
    assert online_bytes(tuned.model.program) == tuned.chosen.online_bytes
    assert tuned.model.program == with_windows(converted, tuned.chosen.bits).program
    assert tuned.before_bytes == online_bytes(converted.program)


def test_nothing_simulated_within_the_budget_is_cheaper_unless_it_failed_again(tuned):
    cheaper = [s for s in tuned.settings if s.within(BUDGET) and s.online_bytes < tuned.chosen.online_bytes]
    assert len(cheaper) <= 2  # refused by their second run
    assert {s.uniform for s in tuned.settings} >= set(BITS)
    seen = [tuple(s.bits.values()) for s in tuned.settings]
    assert len(seen) == len(set(seen))


def test_the_front_is_not_beaten(tuned):
    for a, b in itertools.pairwise(tuned.front):
        assert a.online_bytes < b.online_bytes
        assert a.score.accuracy < b.score.accuracy
    for setting in tuned.settings:
        assert any(
            f.online_bytes <= setting.online_bytes and f.score.accuracy >= setting.score.accuracy
            for f in tuned.front
        )


def test_the_score_is_that_of_the_model(tuned, test_images, labels):
    model, x = tuned.model, tuned.model.encode(test_images)
    shares = Drawn(model.program, slice(0, len(x)), 0)
    found = model.decode(simulate(model.program, model.linear, x, shares)).argmax(1)
    assert 100 * float((found == labels).mean()) == tuned.chosen.score.accuracy


def test_harm_of_one_layer_is_what_a_whole_run_shows(converted, test_images):
    x = converted.encode(test_images[:40])
    found = distortions(converted, x, BITS, 5, lambda n: None)
    names = [op.name for op in converted.program.activations]
    assert list(found) == names
    for row in found.values():
        assert row[2] > 10 * row[8] >= 0
    # all other layers exact: the first layer's faults alone, with the shares of that seed
    program = with_windows(converted, 2).program
    shares = Drawn(program, slice(0, 40), 5)
    op = program.activations[0]
    exact = converted(test_images[:40], stochastic=False)
    values = {}
    simulate(program, converted.linear, x, shares, lambda i, v: values.setdefault(i, v))
    index = program.operations.index(op)

    def activate(other, z):
        return values[index] if other.name == op.name else exact_activation(other, z, program.modulus)

    last = run(converted.program, converted.linear, {0: x}, activate)[len(program.operations) - 1]
    change = converted.decode(last) - exact.numpy()
    change -= change.mean(1, keepdims=True)
    assert found[names[0]][2] == pytest.approx((change**2).mean())


def test_bytes_by_layer_add_up_to_the_estimate(converted):
    sizes = layer_bytes(converted, BITS)
    for a, b in itertools.pairwise(BITS):
        step = sum(row[b] - row[a] for row in sizes.values())
        assert step == online_bytes(with_windows(converted, b).program) - online_bytes(
            with_windows(converted, a).program
        )


def test_a_masked_layer_costs_and_harms_less(converted, test_images):
    index = converted.program.operations.index(converted.program.activations[0])
    kept = np.random.default_rng(3).random((6, 6, 6)) < 0.25
    operations = list(converted.program.operations)
    operations[index] = dataclasses.replace(operations[index], mask=Mask.of(kept))
    program = dataclasses.replace(converted.program, operations=tuple(operations))
    model, layer = circa.ConvertedModel(program, converted.weights), operations[index].name
    x = model.encode(test_images[:20])
    harm, whole = (distortions(m, x, (2, 6), 0, lambda n: None)[layer] for m in (model, converted))
    assert 0 < harm[2] < whole[2]
    cheap, before = (layer_bytes(m, (2, 6))[layer] for m in (model, converted))
    assert cheap[6] < before[6]


def test_the_path_takes_what_harms_least_for_a_byte():
    sizes = {"a": {4: 10, 6: 20, 8: 40}, "b": {4: 10, 6: 20, 8: 40}}
    harm = {"a": {8: 0.0, 6: 1.0, 4: 9.0}, "b": {8: 0.0, 6: 8.0, 4: 100.0}}
    assert path(harm, sizes) == [
        {"a": 8, "b": 8},
        {"a": 6, "b": 8},  # 1 for 20 bytes
        {"a": 6, "b": 6},  # 8 for 20; the next step of a is 8 for 10
        {"a": 4, "b": 6},
        {"a": 4, "b": 4},
    ]
    two = path({"a": {8: 0.0, 6: 8.0, 4: 8.1}}, {"a": sizes["a"]})
    assert two == [{"a": 8}, {"a": 4}]  # both at once are cheaper than the first alone
    free = path({"a": {8: 1.0, 6: 0.5}}, {"a": {8: 2, 6: 2}})
    assert free == [{"a": 8}]  # no byte saved: no step


def test_without_labels_the_agreement_counts(converted, test_images):
    result = tune(converted, test_images[:60], budget=5.0, bits=(4, 8), evaluations=5)
    assert not result.labelled
    assert result.exact == 100.0
    for setting in result.settings:
        assert setting.score.accuracy == setting.score.agreement


def test_an_impossible_budget_says_so(converted, test_images, labels):
    result = tune(converted, 3 * test_images, labels, budget=0.0, bits=(2, 3), evaluations=5)
    assert not result.satisfied
    assert result.chosen.score.accuracy == max(s.score.accuracy for s in result.settings)


def test_bad_settings(converted, test_images, labels):
    for model, arguments, text in (
        (with_truncation(converted, 12), {}, "protocol 'circa' has no windows to tune"),
        (converted, {"budget": -1.0}, "a budget of 0 to 100 points"),
        (converted, {"bits": (6,)}, "two n are needed"),
        (converted, {"bits": (6, 9)}, "2 to 8 bits, not 9"),
        (converted, {"evaluations": 2}, "at least 5 evaluations"),
    ):
        with pytest.raises(ParameterError, match=text):
            tune(model, test_images[:4], labels[:4], **arguments)
    with pytest.raises(ParameterError, match="expected 4 integers"):
        tune(converted, test_images[:4], labels)


def test_figure_files(tuned, tmp_path):
    paths = draw(tuned, tmp_path)
    assert [path.name for path in paths] == ["pareto.png", "pareto.svg"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert "<svg" in paths[1].read_text()


def test_command_writes_the_tuned_file(converted, test_images, labels, tmp_path):
    converted.save(tmp_path / "small.circa")
    np.savez(tmp_path / "images.npz", x=test_images.numpy(), y=labels)
    command = ["tune", tmp_path / "small.circa", tmp_path / "images.npz", "--bits", "3,8", "--evaluations", 5]
    command += ["--budget", 2, "--count", 100]
    done = CliRunner().invoke(app, [str(a) for a in (*command, "--figure", tmp_path / "out", "--json")])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["file"] == str(tmp_path / "small.tuned.circa")
    model = circa.ConvertedModel.load(found["file"])
    assert {op.name: op.window.bits for op in model.program.activations} == found["chosen"]["bits"]
    assert online_bytes(model.program) == found["chosen"]["online_bytes"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["pareto.png", "pareto.svg"]
    text = CliRunner().invoke(app, [str(a) for a in command], env={"COLUMNS": "140"})
    assert "Pareto front" in text.stdout
    assert "chosen" in text.stdout


def test_command_fails_where_nothing_is_within_the_budget(converted, test_images, tmp_path):
    converted.save(tmp_path / "small.circa")
    np.savez(tmp_path / "images.npz", x=3 * test_images.numpy())
    command = [
        "tune",
        tmp_path / "small.circa",
        tmp_path / "images.npz",
        "--bits",
        "2,3",
        "--evaluations",
        "5",
    ]
    done = CliRunner().invoke(app, [str(a) for a in command])
    assert done.exit_code == 1
    assert "nothing was written" in done.stderr
    assert not (tmp_path / "small.tuned.circa").exists()


def test_unbalanced_modes_keep_their_mode(converted, test_images, labels):
    model = with_windows(converted, mode="negpass")
    result = tune(model, test_images[:40], labels[:40], budget=50.0, bits=(3, 8), evaluations=5)
    assert {op.window.mode for op in result.model.program.activations} == {"negpass"}
    assert dataclasses.asdict(result.chosen)["bits"] == result.chosen.bits
    assert torch.equal(
        result.model(test_images[:4], stochastic=False), converted(test_images[:4], stochastic=False)
    )
