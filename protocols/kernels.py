"""Which kernels run: the native ones where they were built and the processor has AES, else NumPy.

Each kernel's NumPy version is its definition and lives in the module of its protocol, which asks here for a
faster one:

    fast = kernels.native()
    if fast is not None: ...

Both give the same bytes, so two parties need not choose alike. CIRCA_NATIVE=0 in the environment turns the
native kernels off. Kernels that were built for another interface (`_kernels.pyi`, of which they carry the
digest) count as none: after an update they have to be built again.
"""

import functools
import hashlib
import logging
import os
from pathlib import Path
from types import ModuleType

__all__ = ["native"]


@functools.cache
def native() -> ModuleType | None:
    """The module of native kernels, or None: then the NumPy versions run, which is said once, in the log."""
    if os.environ.get("CIRCA_NATIVE") == "0":
        return None
    try:
        from . import _kernels

        interface = hashlib.sha256(Path(__file__).with_name("_kernels.pyi").read_bytes()).hexdigest()
        if getattr(_kernels, "interface", None) != interface:
            raise ImportError("they were built for another version; run `make kernels`, or install again")
    except (ImportError, OSError) as reason:
        logging.getLogger("circa").warning("no native kernels, NumPy runs instead (slower): %s", reason)
        return None
    return _kernels
