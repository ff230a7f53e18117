"""A whole network in another system, between two processes over loopback: a row like ours.

The network is the one that we run, with the weights that our integers stand for (`plan.py`); its input is
the first party's and its weights the second's. What a peer does not tell is None: bytes are counted on its
line, both ways together, where it has a line of its own, and are `offline_bytes` and `online_bytes` in the
row's environment. A peer without an offline phase of its own (SPU) makes its correlations online. SPU's
32-bit field is left out: its 8 fractional bits are few for a network, and SEMI2K 0.9.5 dies of convolutions.
"""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from circa.model import ConvertedModel

from .. import environment
from ..inference import Row
from ..inputs import FRACTION_BITS
from . import Peer, Setting
from .plan import export
from .run import can_isolate, run_setting

__all__ = ["measure"]

Progress = Callable[[str, int, int], None]


def measure(
    peer: Peer, model: str, path: Path, images: int = 1, repeat: int = 1, progress: Progress | None = None
) -> list[Row]:
    """One row for every setting of the peer that has the precision for a network. Raises PeerError for a
    network that it does not run, and where the peer fails.
    """
    converted = ConvertedModel.load(path)
    plan = export(converted.program, converted.weights)
    shape = (images, *converted.program.input.shape)
    limit = converted.program.input.limit * 2.0**-converted.program.input.frac_bits
    x = np.random.default_rng(0).standard_normal(shape).clip(-limit, limit)
    with torch.no_grad():
        ours = converted(torch.from_numpy(x).float()).numpy()
    rows = []
    settings = [setting for setting in peer.settings if setting.fraction_bits >= FRACTION_BITS]
    for done, setting in enumerate(settings):
        if progress is not None:
            progress(f"{setting.name}, {setting.modulus}", done, len(settings))
        where = environment.describe()
        isolated = can_isolate()
        values = np.rint(x * 2.0**FRACTION_BITS).astype(np.int64)
        printed, theirs = run_setting(peer, setting, values, repeat, isolated, plan)
        row = _row(peer, setting, printed, model, isolated)
        row.environment = where | row.environment | {"images": images, "repeat": repeat}
        row.environment["agreement"] = {
            "with": "our simulation of the same network and input",
            "largest_logit_difference": float(np.abs(ours - theirs).max()),
            "largest_logit": float(np.abs(ours).max()),
            "same_class": float((ours.argmax(1) == theirs.argmax(1)).mean()),
        }
        rows.append(row)
    return rows


def _row(peer: Peer, setting: Setting, printed: dict[str, Any], model: str, isolated: bool) -> Row:
    first, second = printed["parties"]
    middle = statistics.median if peer.split else statistics.fmean  # see run.py

    def of(phase: str, key: str) -> float:
        return float(middle([run[key] for run in first[phase]]))

    moved = {
        f"{phase}_bytes": of(phase, "line_bytes") if isolated else None
        for phase in ("offline", "online")
        if phase in first
    }
    return Row(
        model=model,
        protocol=setting.name,
        network="loopback",
        offline_seconds=of("offline", "seconds") if peer.split else None,
        online_seconds=of("online", "seconds"),
        offline_bytes_up=None,
        offline_bytes_down=None,
        online_bytes_up=None,
        online_bytes_down=None,
        online_rounds=int(first["online"][-1]["rounds"]) if setting.counts_rounds else None,
        client_stored_bytes=None,
        server_stored_bytes=None,
        peak_rss_client=first["peak_bytes"],
        peak_rss_server=second["peak_bytes"],
        per_layer=[],
        environment={
            "assumes": setting.assumes,
            "modulus": setting.modulus,
            "fraction_bits": setting.fraction_bits,
            "version": printed["version"],
            "online_includes_offline": not peer.split,
            "bytes_from": "its own loopback interface" if isolated else None,
            **moved,
        },
    )
