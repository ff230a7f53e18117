"""Run a peer's script in its own environment, and make rows like ours of what it prints.

Where the system lets us, the script gets a network namespace of its own: the counters of its loopback
interface then count this measurement alone (with TCP headers, about 0.2 %). Elsewhere its rows have no
bytes.

`online_us` is the processor time of both parties, added, as in our rows; `loopback_online_us` is wall time.
A system without an offline phase of its own (SPU) makes its correlations online, and now and then for
several runs at once: there the mean is given instead of the median.
"""

import json
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inputs import sample
from ..rows import Row
from . import Peer, PeerError, Setting
from .environments import clean_environment, is_installed, python

__all__ = ["Measured", "can_isolate", "measure", "run_setting"]

TIMEOUT = 900
Measured = tuple[Row, Setting, NDArray[np.float64]]  # the last are the peer's results on `inputs.sample`

_NAMESPACE = ("unshare", "-r", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


def measure(
    peer: Peer, elements: int, repeats: int, progress: Callable[[], None] = lambda: None
) -> list[Measured]:
    """Every setting of a peer. Raises PeerError where it is not installed or fails."""
    isolated = can_isolate()
    measured = []
    for setting in peer.settings:
        printed, results = run_setting(peer, setting, sample(elements), repeats, isolated)
        measured.append((_row(peer, setting, printed, elements, isolated), setting, results))
        progress()
    return measured


def run_setting(
    peer: Peer,
    setting: Setting,
    values: NDArray[np.int64],
    repeats: int,
    isolated: bool,
    network: bytes | None = None,
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """What the script of a peer prints and its results, for one setting: its ReLU on `values` (with 16
    fractional bits), or a network of `plan.py` on them.
    """
    if not is_installed(peer):
        raise PeerError(
            f"{peer.name} is not installed: run `circa bench peers install {peer.name}`, or pass --yes"
        )
    script = Path(__file__).parent / peer.script
    with tempfile.TemporaryDirectory(prefix="circa-peer-") as folder:
        inputs, output, plan = (Path(folder) / name for name in ("z.npy", "y.npy", "plan.npz"))
        np.save(inputs, values)
        files = ["--inputs", str(inputs), "--output", str(output)]
        if network is not None:
            plan.write_bytes(network)
            files += ["--network", str(plan)]
        command = (str(python(peer)), str(script), *files, *setting.arguments, "--repeats", str(repeats))
        try:
            done = subprocess.run(
                (*_NAMESPACE, *command) if isolated else command,
                cwd=folder,
                env=clean_environment(),
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PeerError(f"{setting.name} did not end within {TIMEOUT} s") from None
        lines = done.stdout.splitlines()
        if done.returncode or not lines:
            said = " / ".join(done.stderr.strip().splitlines()[-2:]) or f"exit status {done.returncode}"
            raise PeerError(f"{setting.name} failed: {said}")
        printed: dict[str, Any] = json.loads(lines[-1])
        results = np.load(output, allow_pickle=False)
    return printed, results


def _row(peer: Peer, setting: Setting, printed: dict[str, Any], elements: int, isolated: bool) -> Row:
    def per_relu(phase: str, key: str, parties: int) -> list[float]:
        """Of each repetition: the sum over this many parties."""
        runs = zip(*(party[phase] for party in printed["parties"][:parties]), strict=True)
        return [sum(party[key] for party in run) / elements for run in runs]

    middle = statistics.median if peer.split else statistics.fmean
    cpu = per_relu("online", "cpu_seconds", 2)
    row = Row(
        protocol=setting.name,
        modulus=setting.modulus,
        elements=elements,
        online_us=1e6 * middle(cpu),
        online_us_min=1e6 * min(cpu),
        online_us_max=1e6 * max(cpu),
        relus_per_second=1 / middle(cpu),
        loopback_online_us=1e6 * middle(per_relu("online", "seconds", 1)),
        loopback_online_cpu_us=1e6 * middle(cpu),
        assumes=setting.assumes,
        more={
            "version": printed["version"],
            "fraction_bits": setting.fraction_bits,
            "online_includes_offline": not peer.split,
            "bytes_from": "its own loopback interface" if isolated else None,
            "peak_bytes_per_party": max(party["peak_bytes"] for party in printed["parties"]),
        },
    )
    if setting.counts_rounds:
        row.online_rounds = int(printed["parties"][0]["online"][-1]["rounds"])
    if isolated:
        row.online_bytes = statistics.fmean(per_relu("online", "line_bytes", 1))
    if peer.split:
        row.offline_us = 1e6 * middle(per_relu("offline", "cpu_seconds", 2))
        row.loopback_offline_us = 1e6 * middle(per_relu("offline", "seconds", 1))
        if isolated:
            row.offline_bytes = statistics.fmean(per_relu("offline", "line_bytes", 1))
    return row


def can_isolate() -> bool:
    """Whether a script can have a network namespace of its own."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    return subprocess.run((*_NAMESPACE, "true"), capture_output=True, check=False).returncode == 0
