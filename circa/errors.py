"""What can go wrong, for users of the library: the protocols' error tree and the converter's branch of it.

CircaError
├── ParameterError        the caller's argument (also a ValueError)
│   ├── ConversionError   modules that cannot be converted, all at once, each with its path and the remedy
│   ├── CalibrationError  a layer without range, or whose range does not fit
│   ├── InputError        an input of the wrong shape, dtype or value; nothing has been sent
│   └── FileError         a .circa file that is damaged or of another version
├── WorkerError           the server's workers failed again and again
└── ProtocolError         the peer, or the line to it
    ├── FramingError, CheckFailed, PeerGone
    ├── HandshakeError    another protocol version, or another model than expected
    ├── StockRefused      the server's bound on a client's stock; the session goes on
    └── RemoteError       the peer reported an error of its own and ended the session
"""

from circa.protocols.errors import (
    CheckFailed,
    CircaError,
    FramingError,
    ParameterError,
    PeerGone,
    ProtocolError,
    WorkerError,
)

__all__ = [
    "CalibrationError",
    "CheckFailed",
    "CircaError",
    "ConversionError",
    "FileError",
    "FramingError",
    "HandshakeError",
    "InputError",
    "ParameterError",
    "PeerGone",
    "ProtocolError",
    "RemoteError",
    "StockRefused",
    "WorkerError",
]


class ConversionError(ParameterError):
    """The model has parts that cannot be converted."""


class CalibrationError(ParameterError):
    """The calibration data leaves a layer without range, or a range does not fit the modulus."""


class InputError(ParameterError):
    """The client's input was refused before anything was sent."""


class FileError(ParameterError):
    """A .circa file is damaged, truncated or of another version."""


class HandshakeError(ProtocolError):
    """The two parties do not run the same protocol, version or model."""


class StockRefused(ProtocolError):
    """The server stocks no more material for this client. Nothing was made, and the session goes on."""


class RemoteError(ProtocolError):
    """The peer ended the session and said why."""
