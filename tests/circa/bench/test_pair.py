"""What the peers' scripts share: results in the order of the ranks, and a party that dies ends the wait."""

import ast
import queue
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from circa.bench.peers import pair


def stand_in(did: list[str], exitcode: int | None = 0) -> SimpleNamespace:
    calls = {name: lambda *_, name=name: did.append(name) for name in ("start", "join", "kill")}
    return SimpleNamespace(exitcode=exitcode, **calls)


def test_results_in_the_order_of_the_ranks_and_processes_that_end():
    did: list[str] = []
    processes = [stand_in(did), stand_in(did)]
    results = queue.Queue()
    for rank in (1, 0):
        results.put((rank, f"of {rank}"))
    with pair.running(processes):
        assert pair.collect(results, processes) == ["of 0", "of 1"]
    assert did == ["start"] * 2 + ["join"] * 2 + ["kill"] * 2


def test_a_party_that_dies_ends_the_wait():
    did: list[str] = []
    processes = [stand_in(did, exitcode=None), stand_in(did, exitcode=1)]
    with pytest.raises(RuntimeError, match="a party died"), pair.running(processes):
        pair.collect(queue.Queue(), processes)
    assert did.count("kill") == 2


def test_it_needs_nothing_but_python():
    """The peers' environments have nothing of ours."""
    tree = ast.parse(Path(pair.__file__).read_text())
    names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names
