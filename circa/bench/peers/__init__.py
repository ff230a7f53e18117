"""Other systems, measured beside ours: what is run, in which environment, and what it assumes.

environments.py          a Python environment for each, made on request
run.py                   one process tree a peer; a row like ours from its JSON line
agreement.py             the same inputs, the same results within a derived bound
plan.py                  a converted network in words that the peers' scripts understand
inference.py             a row of `circa bench network` for a peer
crypten_relu.py          runs in CrypTen's environment, imports nothing of ours: its ReLU or a network
crypten_layers.py        the network's layers there
spu_relu.py              runs in SPU's
spu_layers.py
pair.py                  what both scripts share: their processes, and the bytes between them
requirements-*.txt       pinned
"""

from dataclasses import dataclass

from circa.protocols.errors import CircaError

__all__ = ["PEERS", "Peer", "PeerError", "Setting"]


class PeerError(CircaError):
    """A peer's environment is missing or cannot be made, or the peer failed."""


@dataclass(frozen=True)
class Setting:
    """One configuration of a peer: a row."""

    name: str
    arguments: tuple[str, ...]
    modulus: str
    fraction_bits: int
    assumes: str
    counts_rounds: bool = True


@dataclass(frozen=True)
class Peer:
    """`pythons`: the interpreters that its wheels exist for, best first; empty for any."""

    name: str
    script: str
    requirements: tuple[tuple[str, ...], ...]  # arguments of one `pip install` each
    pythons: tuple[str, ...]
    settings: tuple[Setting, ...]
    split: bool  # has an offline phase that can be timed apart


CRYPTEN = Peer(
    name="crypten",
    script="crypten_relu.py",
    requirements=(
        ("-r", "requirements-crypten.txt"),
        ("--no-deps", "-r", "requirements-crypten-nodeps.txt"),
    ),
    pythons=("3.11", "3.12", "3.13"),
    settings=(
        Setting(
            "crypten-tfp",
            ("--provider", "TFP"),
            "2^64",
            16,
            "trusted first party: one party makes all triples, no security against it",
        ),
        Setting("crypten-ttp", ("--provider", "TTP"), "2^64", 16, "dealer: a trusted third party"),
    ),
    split=True,
)

_TRUSTED = "trusted first party: one party makes all correlations, no security against it"

SPU = Peer(
    name="spu",
    script="spu_relu.py",
    requirements=(("-r", "requirements-spu.txt"),),
    pythons=("3.11", "3.10"),
    settings=(
        Setting("spu-semi2k", ("--protocol", "SEMI2K", "--field", "FM64"), "2^64", 18, _TRUSTED),
        Setting("spu-semi2k", ("--protocol", "SEMI2K", "--field", "FM32"), "2^32", 8, _TRUSTED),
        Setting(
            "spu-cheetah",
            ("--protocol", "CHEETAH", "--field", "FM64"),
            "2^64",
            18,
            "real two-party, semi-honest, no dealer",
            counts_rounds=False,
        ),
        Setting(
            "spu-cheetah",
            ("--protocol", "CHEETAH", "--field", "FM32"),
            "2^32",
            8,
            "real two-party, semi-honest, no dealer",
            counts_rounds=False,
        ),
    ),
    split=False,
)

PEERS = {peer.name: peer for peer in (CRYPTEN, SPU)}
