"""The processes of `parties.py`, started and read by the one that measures."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from circa.protocols.errors import CircaError

__all__ = ["InferenceError", "read", "start"]


class InferenceError(CircaError):
    """One of the two processes of a measurement failed; the text is what it said."""


@contextmanager
def start(role: str, said: Any, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Start one; its stderr goes to the file `said`. Ends with the block."""
    command = (sys.executable, "-P", "-m", "circa.bench.parties", role, *arguments)
    environment = {**os.environ, "OMP_NUM_THREADS": arguments[-1]}
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": said, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def read(process: "subprocess.Popen[str]", said: Any) -> dict[str, Any]:
    """The next line of a process, which must be there."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait()
        said.seek(0)
        raise InferenceError(" / ".join(said.read().strip().splitlines()[-2:]) or "a process was killed")
    result: dict[str, Any] = json.loads(line)
    return result
