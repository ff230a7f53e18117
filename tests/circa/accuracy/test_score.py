"""Accuracy, intervals, paired differences."""

import numpy as np
import pytest

from circa.accuracy.score import check_labels, classes, compare, interval
from circa.errors import ParameterError


def test_classes_are_the_largest_outputs():
    assert classes(np.array([[0.0, 2.0, 1.0], [3.0, -1.0, 2.0]])).tolist() == [1, 0]


@pytest.mark.parametrize(("share", "trials"), [(0.0, 10), (1.0, 10), (0.5, 100), (0.912, 500)])
def test_wilson_interval_solves_its_equation(share, trials):
    low, high = interval(share, trials)
    assert 0 <= low <= share + 1e-12 <= high + 2e-12 <= 1 + 2e-12
    for p in (low, high):
        if 1e-6 < p < 1 - 1e-6:
            assert abs(p - share) == pytest.approx(1.959964 * (p * (1 - p) / trials) ** 0.5)


def test_paired_difference_and_agreement():
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    reference = np.array([0, 1, 2, 0, 1, 2, 1, 0])  # 6 of 8 right
    run = np.array([0, 1, 2, 0, 1, 0, 0, 1])  # one lost, two gained
    score = compare([run], reference, labels)
    assert (score.accuracy, score.agreement, score.difference) == (87.5, 62.5, 12.5)
    change = np.array([0, 0, 0, 0, 0, -1, 1, 1])
    assert score.spread == pytest.approx(100 * change.std() / 8**0.5)
    same = compare([reference, reference], reference, labels)
    assert (same.accuracy, same.agreement, same.difference, same.spread) == (75, 100, 0, 0)


def test_runs_are_averaged():
    labels = np.zeros(4, np.int64)
    score = compare([np.array([0, 0, 0, 0]), np.array([0, 0, 1, 1])], labels, labels)
    assert (score.accuracy, score.agreement, score.difference) == (75, 75, -25)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (np.zeros(3, np.int64), "expected 4 integers"),
        (np.zeros((4, 1), np.int64), "expected 4 integers"),
        (np.zeros(4), "expected 4 integers"),
        (np.array([0, 1, 2, 3]), "labels from 0 to 3 for 3 classes"),
        (np.array([0, 1, 2, -1]), "labels from -1 to 2"),
    ],
)
def test_labels_that_do_not_fit(labels, text):
    with pytest.raises(ParameterError, match=text):
        check_labels(labels, 4, 3)
