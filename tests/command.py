"""`python -m circa` of the code under test, in a process of its own."""

import sys


def command(*arguments: object) -> list[str]:
    """-P: not from the current folder, where the source tree may lie."""
    return [sys.executable, "-P", "-m", "circa", *map(str, arguments)]
