"""What a session measured is what the estimate says."""

from circa.estimate import Estimate
from circa.report import Report


def check_estimate(report: Report, predicted: Estimate) -> None:
    """The same layers and phases, and for each the same bytes each way and round trips."""
    expected = {
        (row.layer, row.phase): (row.bytes_sent, row.bytes_received, row.rounds) for row in predicted.rows
    }
    measured = {key: (row.bytes_sent, row.bytes_received, row.rounds) for key, row in report.rows.items()}
    assert measured == expected
