"""The error tree.

    CircaError
    ├── ParameterError        the caller's argument is out of range (also a ValueError)
    ├── WorkerError           workers of the party's own failed again and again
    └── ProtocolError         the peer, or the line to it
        ├── FramingError      a message of the wrong length, type or order
        ├── CheckFailed       a received value fails a validity or security check
        └── PeerGone          the peer closed the connection, or was silent for the whole timeout

Texts carry public values only: names, sizes, types, limits. Never shares, labels or keys.
"""

__all__ = [
    "CheckFailed",
    "CircaError",
    "FramingError",
    "ParameterError",
    "PeerGone",
    "ProtocolError",
    "WorkerError",
]


class CircaError(Exception):
    """Base of every error that this library raises on purpose."""


class ParameterError(CircaError, ValueError):
    """An argument is out of its range; the text names the value and the allowed range."""


class WorkerError(CircaError):
    """A worker of this party's own failed; the peer did nothing wrong."""


class ProtocolError(CircaError):
    """The peer did not keep to the protocol, or the connection failed."""


class FramingError(ProtocolError):
    """A message had the wrong length, type or order."""


class CheckFailed(ProtocolError):
    """A received value is not a valid one (a point off the curve, a residue that is not reduced)."""


class PeerGone(ProtocolError):
    """The peer closed the connection or stayed silent for the whole timeout."""
