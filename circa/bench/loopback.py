"""Our protocols as two processes over TCP on one machine: wall time, waiting included.

    python -m circa.bench.loopback sender|receiver PORT

reads {"cases": [...], "repeats": n} from stdin and prints one JSON line. `measure` starts both and adds what
they print to the rows. A phase lasts from the moment that both are ready until both have finished; the peers'
scripts measure theirs in the same way.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from circa.protocols import relu
from circa.protocols.channel import Channel
from circa.protocols.errors import CircaError
from circa.protocols.ot import setup_pair
from circa.protocols.prg import Prg
from circa.protocols.steps import complete
from circa.transport import TcpChannel, connect

from .cases import Case
from .inputs import sample
from .rows import Row

__all__ = ["LoopbackError", "measure"]

TIMEOUT = 900.0
Party = Literal["sender", "receiver"]
Times = dict[str, list[float]]


class LoopbackError(CircaError):
    """One of the two processes of a measurement failed; the text is what it said."""


def measure(cases: Sequence[Case], rows: Sequence[Row], repeats: int) -> None:
    """Run all cases between two processes and fill in the rows' `loopback_` fields."""
    spec = json.dumps({"cases": [case.to_dict() for case in cases], "repeats": repeats})
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-P", "-m", "circa.bench.loopback", party, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for party in ("sender", "receiver")
    ]
    try:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(spec)
            process.stdin.close()
            process.stdin = None  # communicate() would close it again
        said = [process.communicate(timeout=TIMEOUT) for process in processes]
    except (subprocess.TimeoutExpired, BrokenPipeError):
        raise LoopbackError(f"the two processes did not finish within {TIMEOUT:g} s") from None
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for process, (_, stderr) in zip(processes, said, strict=True):
        if process.returncode:
            raise LoopbackError(" / ".join(stderr.strip().splitlines()[-2:]) or "a process was killed")
    sender, receiver = (json.loads(stdout) for stdout, _ in said)
    for row, mine, theirs in zip(rows, sender, receiver, strict=True):
        scale = 1e6 / row.elements
        row.loopback_offline_us = scale * statistics.median(mine["offline"])
        row.loopback_online_us = scale * statistics.median(mine["online"])
        cpu = [a + b for a, b in zip(mine["online_cpu"], theirs["online_cpu"], strict=True)]
        row.loopback_online_cpu_us = scale * statistics.median(cpu)


def play(party: Party, ch: Channel, cases: Sequence[Case], repeats: int) -> list[Times]:
    """One party's whole measurement: seconds of each repetition, one dict a case."""
    prg = Prg.from_os()
    ot = setup_pair(ch, prg, party == "sender")
    measured = []
    for case in cases:
        times: Times = {"offline": [], "online": [], "online_cpu": []}
        for i in range(1 + repeats):
            offline, online = _phases(party, ch, ot, case, prg)
            seconds, _, material = _clock(ch, offline)
            wall, cpu, _ = _clock(ch, lambda online=online, material=material: online(material))  # type: ignore[misc]
            if i:
                times["offline"].append(seconds)
                times["online"].append(wall)
                times["online_cpu"].append(cpu)
        measured.append(times)
    return measured


def _phases(
    party: Party, ch: Channel, ot: Any, case: Case, prg: Prg
) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """The offline phase, and the online phase that takes its material.

    The sender's share is the whole value and the receiver's is zero, which costs the same as uniform shares.
    """
    protocol, act = relu.by_name(case.protocol), case.activation()
    shape = act.shape(1)
    z = act.modulus.encode(sample(case.elements)).reshape(shape)
    if party == "sender":
        return (
            lambda: complete(protocol.offline_sender(ch, ot, act, 1, prg)),
            lambda material: protocol.online_sender(ch, act, z, material),
        )
    z_c, y_c = act.modulus.sub(z, z), act.modulus.uniform(prg, shape)
    return (
        lambda: complete(protocol.offline_receiver(ch, ot, act, z_c, y_c, prg)),
        lambda material: protocol.online_receiver(ch, act, material),
    )


def _clock(ch: Channel, work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall seconds until both have finished, own processor seconds, the result."""
    _meet(ch)
    start, cpu = time.perf_counter(), time.process_time()
    result = work()
    cpu = time.process_time() - cpu
    _meet(ch)
    return time.perf_counter() - start, cpu, result


def _meet(ch: Channel) -> None:
    ch.send(b"\0")
    ch.recv(1)


def main() -> None:
    party, port = sys.argv[1], int(sys.argv[2])
    spec = json.load(sys.stdin)
    cases = [Case(**case) for case in spec["cases"]]
    if party == "sender":
        with socket.create_server(("127.0.0.1", port)) as listener:
            listener.settimeout(60)
            ch = TcpChannel(listener.accept()[0], TIMEOUT)
        measured = play("sender", ch, cases, spec["repeats"])
    else:
        ch = _connect(port)
        measured = play("receiver", ch, cases, spec["repeats"])
    ch.close()
    print(json.dumps(measured))


def _connect(port: int) -> TcpChannel:
    """The other process may not listen yet."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return connect("127.0.0.1", port, TIMEOUT)
        except CircaError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    main()
