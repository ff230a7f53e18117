"""benchmarks/end_to_end.py: a line a row, a figure, and tables that come from the lines."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_run_and_its_tables(root: Path, tmp_path: Path):
    script = (sys.executable, str(root / "benchmarks" / "end_to_end.py"))
    options = ("mnist_b", "--network", "loopback", "--repeat", "1", "--output", str(tmp_path))
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    run = subprocess.run([*script, *options], capture_output=True, text=True, check=True, env=environment)
    [line] = (tmp_path / "end_to_end.jsonl").read_text().splitlines()
    row = json.loads(line)
    assert (row["model"], row["network"], row["online_rounds"]) == ("mnist_b", "loopback", 4)
    assert (tmp_path / "end_to_end.png").is_file()
    assert (tmp_path / "end_to_end.svg").is_file()
    again = subprocess.run(
        [*script, "--table", str(tmp_path / "end_to_end.jsonl")], capture_output=True, text=True, check=True
    )
    assert again.stdout == run.stdout
    assert run.stdout.count("| mnist_b | loopback |") == 2  # measured, and beside the prediction
