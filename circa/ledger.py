"""The server's account of its clients' stock: reserved before any work, freed as it is used.

A client is a network address (of IPv6 its /64 network, which one household or host owns): opening more
sessions gains it nothing, and clients behind one address share its bound. Material counts from the moment it
is ordered; a session that ends, in whatever way, gives back all that it had.

A store on disk, which would outlive a session, has to reserve here as well.
"""

import ipaddress
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from .commands import Verdict
from .errors import ParameterError
from .stock import Limit

__all__ = ["Account", "Ledger"]


class Ledger:
    """All stock of one server. Safe to use from many threads.

    limit: for each client. image_bytes: of the server's material for one image.
    """

    def __init__(self, limit: Limit, image_bytes: int):
        if limit.images < 1 or limit.bytes < image_bytes:
            raise ParameterError(
                f"a stock of {limit.images} images and {limit.bytes:,} bytes a client is too small: one image"
                f" of this model takes {image_bytes:,} bytes at the server; allow more (--stock-memory)"
            )
        self.limit, self.image_bytes = limit, image_bytes
        self._reserved: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def images(self) -> int:
        """In stock or in the making, of all clients."""
        with self._lock:
            return self._reserved.total()

    @contextmanager
    def account(self, address: str) -> Iterator["Account"]:
        """The account of one session, emptied at the end of the block."""
        account = Account(self, _client(address))
        try:
            yield account
        finally:
            account.release(account.images)

    def reserve(self, client: str, images: int) -> Verdict:
        """Count `images` more where the bound allows it; the check and the count are one step."""
        with self._lock:
            total = self._reserved[client] + images
            if total > self.limit.images:
                return Verdict.TOO_MANY_IMAGES
            if total * self.image_bytes > self.limit.bytes:
                return Verdict.TOO_MANY_BYTES
            self._reserved[client] = total
            return Verdict.ACCEPTED

    def release(self, client: str, images: int) -> None:
        with self._lock:
            self._reserved[client] -= images
            if not self._reserved[client]:
                del self._reserved[client]  # or every address that ever came stays in memory


class Account:
    """One session's part of its client's stock. Used by the session's thread alone."""

    def __init__(self, ledger: Ledger, client: str):
        self._ledger, self._client = ledger, client
        self.images = 0

    def reserve(self, images: int) -> Verdict:
        found = self._ledger.reserve(self._client, images)
        if found is Verdict.ACCEPTED:
            self.images += images
        return found

    def release(self, images: int) -> None:
        if images:
            self._ledger.release(self._client, images)
            self.images -= images


def _client(address: str) -> str:
    """The name under which an address counts."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.version == 6:
        if ip.ipv4_mapped:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
