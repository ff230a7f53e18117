"""A Python environment for each peer, apart from ours: its pins (numpy < 2, an old jax) would break what we
need.

They lie in ~/.cache/circa/peers/NAME, or under CIRCA_PEERS. A finished environment holds a mark with the
hash of its requirements, so one that was interrupted, or made for other versions, is made again.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from circa.protocols.errors import ParameterError

from . import PEERS, Peer, PeerError

__all__ = ["by_name", "folder", "install", "is_installed", "python"]

_HERE = Path(__file__).parent
_MARK = "circa-requirements.sha256"
_INSTALL_SECONDS = 1800


def by_name(name: str) -> Peer:
    if name not in PEERS:
        raise ParameterError(f"unknown peer '{name}'; peers: {', '.join(PEERS)}")
    return PEERS[name]


def folder(peer: Peer) -> Path:
    root = os.environ.get("CIRCA_PEERS")
    return (Path(root).expanduser() if root else Path.home() / ".cache" / "circa" / "peers") / peer.name


def python(peer: Peer) -> Path:
    """The interpreter of a peer's environment, whether or not it exists."""
    return folder(peer) / "bin" / "python"


def is_installed(peer: Peer) -> bool:
    mark = folder(peer) / _MARK
    return mark.is_file() and mark.read_text() == _hash(peer) and python(peer).exists()


def install(peer: Peer) -> Path:
    """Make the environment anew and return its folder. Raises PeerError with what failed."""
    target, interpreter = folder(peer), _interpreter(peer)
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    _run(peer, "venv", interpreter, "-m", "venv", str(target))
    for arguments in peer.requirements:
        quiet = ("--disable-pip-version-check", "--quiet")
        _run(peer, "pip install", str(python(peer)), "-m", "pip", "install", *quiet, *arguments)
    (target / _MARK).write_text(_hash(peer))
    return target


def clean_environment() -> dict[str, str]:
    """The variables of a peer's process: nothing of our Python, one thread a party."""
    ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONNOUSERSITE": "1"}


def _interpreter(peer: Peer) -> str:
    """Ours where the peer has wheels for it, else one of the path."""
    if platform.python_version().rpartition(".")[0] in peer.pythons:
        return sys.executable
    for version in peer.pythons:
        if found := shutil.which(f"python{version}"):
            return found
    raise PeerError(
        f"{peer.name} has packages for Python {' and '.join(peer.pythons)} only, this is"
        f" {platform.python_version()} and none of them is on the path"
    )


def _run(peer: Peer, what: str, *command: str) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=_HERE,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PeerError(f"{what} for {peer.name} did not end within {_INSTALL_SECONDS} s") from None
    if done.returncode:
        shutil.rmtree(folder(peer), ignore_errors=True)
        said = [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines()
        offline = any(sign in done.stderr for sign in _OFFLINE)
        hint = "; the package index cannot be reached: is this machine offline?" if offline else ""
        raise PeerError(f"{what} for {peer.name} failed: {' / '.join(said[-2:])}{hint}")


_OFFLINE = (
    "NewConnectionError",
    "NameResolutionError",
    "Temporary failure in name resolution",
    "Network is unreachable",
    "Max retries exceeded",
    "Connection refused",
)


def _hash(peer: Peer) -> str:
    digest = hashlib.sha256()
    for arguments in peer.requirements:
        digest.update(repr(arguments).encode())
        digest.update((_HERE / arguments[-1]).read_bytes())
    return digest.hexdigest()
