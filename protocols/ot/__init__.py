"""Oblivious transfer: correlated OTs in both directions, and what is made of them.

    cots.py        the interface: CotSender, CotReceiver, OtPair; SentCots, ReceivedCots: M = K ⊕ r·Δ
    base.py        random OTs of 16-byte keys from Ed25519 [MR19]
    pprf.py        punctured trees of seeds, from base OTs [BCGI+19]
    softspoken.py  COT extension [Roy22]; setup_pair makes an OtPair. leaves.py, expand.py, transpose.py: its
                   local work. choice.py: the k that suits a line and a processor
    products.py    shares of choice · correlation, mod M or mod 2^f [Gilboa99]
    one_of_n.py    random 1-of-2^n OT of short entries [NP99], from n COTs
    ideal.py       the trusted third party of the tests; not exported here

Two parties that both extend call `receiver.extend` before `sender.extend`: the first only sends, the second
waits.
"""

from .cots import KAPPA, Blocks, CotReceiver, CotSender, OtPair, ReceivedCots, SentCots
from .softspoken import setup_pair, setup_receiver, setup_sender

__all__ = [
    "KAPPA",
    "Blocks",
    "CotReceiver",
    "CotSender",
    "OtPair",
    "ReceivedCots",
    "SentCots",
    "setup_pair",
    "setup_receiver",
    "setup_sender",
]
