"""Where a measurement was made: what a reader needs to judge or repeat it."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import circa
from circa.protocols import kernels

__all__ = ["describe"]

_PACKAGES = ("numpy", "cryptography", "torch", "tenseal")


def describe() -> dict[str, Any]:
    """Machine, processor, kernels, versions, commit. Packages are asked for their version, not imported."""
    return {
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads_per_party": 1,
        "load_average": round(os.getloadavg()[0], 2),
        "native_kernels": kernels.native() is not None,
        "cpu_features": _features(),
        "commit": _commit(),
        "circa": circa.__version__,
        "python": platform.python_version(),
        **{name: found for name in _PACKAGES if (found := _version(name))},
    }


def _cpu() -> str:
    for line in _cpuinfo():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _features() -> list[str]:
    """Of those that the kernels choose by."""
    for line in _cpuinfo():
        if line.startswith("flags"):
            flags = set(line.partition(":")[2].split())
            return [name for name in ("aes", "vaes", "avx2", "avx512f", "gfni") if name in flags]
    return []


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


def _commit() -> str | None:
    """Of the checkout that this file lies in, marked where it has changes; None for an installed package."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    git = ("git", "-C", str(folder))
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
        changes = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True)
    except OSError:
        return None
    if commit.returncode:
        return None
    return commit.stdout.strip() + ("-modified" if changes.stdout.strip() else "")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None if name not in sys.modules else getattr(sys.modules[name], "__version__", None)
