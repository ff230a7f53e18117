"""The wire baseline: digests of what each party sends with fixed seeds, in one file, `wire.baseline`.

A change of any byte, length or order of messages fails the test that recorded them. When a change is meant,
run the tests with CIRCA_WRITE_BASELINE=1, review the difference of the file, and name it in the changelog
under "Wire".
"""

import hashlib
import os
from pathlib import Path

from harness import Transcript

BASELINE = Path(__file__).with_name("wire.baseline")
WRITE = "CIRCA_WRITE_BASELINE"


def check_baseline(name: str, transcript: Transcript) -> None:
    """Compare with the line of this name (one word); the roles must have had fixed, different seeds."""
    if len(name.split()) != 1:
        raise ValueError(f"the name of a baseline is one word, not {name!r}")
    found = f"left={_digest(transcript.left_sent)} right={_digest(transcript.right_sent)}"
    lines = (
        dict(line.split(" ", 1) for line in BASELINE.read_text().splitlines()) if BASELINE.exists() else {}
    )
    if os.environ.get(WRITE):
        lines[name] = found
        BASELINE.write_text("".join(f"{key} {lines[key]}\n" for key in sorted(lines)))
    assert name in lines, f"no baseline {name}: run with {WRITE}=1 and review {BASELINE.name}"
    assert found == lines[name], f"the wire of {name} changed: {lines[name]} before, {found} now"


def _digest(messages: list[bytes]) -> str:
    """The first 16 hexadecimal digits of SHA-256 over every message with its length."""
    state = hashlib.sha256()
    for message in messages:
        state.update(len(message).to_bytes(8, "little") + message)
    return state.hexdigest()[:16]
