"""benchmarks/bench_masks.py: how many ReLUs there are, and what a line says of the kept ones."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_network_whose_stem_has_no_relu(root: Path, tmp_path: Path):
    script = (sys.executable, str(root / "benchmarks" / "bench_masks.py"))
    run = subprocess.run(
        [*script, "--stem", "linear", "--repeats", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert [(row["relus"], row["others"]) for row in rows] == [
        (491_520, None),
        (50_000, "identity"),
        (50_000, "zero"),
    ]
    sizes = [row["relu_online_bytes"] for row in rows]
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[0] > 9 * sizes[2]
    assert (tmp_path / "results" / "masks.jsonl").read_text().count("\n") == 3
