"""Which kernels run: the native ones where they were built and the processor has AES, else NumPy.

Each kernel's NumPy version is its definition and lives in the module of its protocol, which asks here for a
faster one:

    fast = kernels.native()
    if fast is not None: ...

Both give the same bytes, so two parties need not choose alike. CIRCA_NATIVE=0 in the environment turns the
native kernels off.
"""

import functools
import logging
import os
from types import ModuleType

__all__ = ["native"]


@functools.cache
def native() -> ModuleType | None:
    """The module of native kernels, or None: then the NumPy versions run, which is said once, in the log."""
    if os.environ.get("CIRCA_NATIVE") == "0":
        return None
    try:
        from . import _kernels
    except ImportError as reason:
        logging.getLogger("circa").warning("no native kernels, NumPy runs instead (slower): %s", reason)
        return None
    return _kernels
