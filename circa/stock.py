"""Offline material by number and by bytes: what it takes, how it is made in batches, what a server will hold.

Everything here follows from the public program, so both parties compute the same numbers. `stored` is the
formula of what waits between the phases; tests hold it against the arrays. `batches` cuts a large order into
passes of bounded memory: within a pass the images share polynomials where a layer leaves room (fully
connected layers, small images), so bytes an image fall with the batch.

Material is single use: each party removes it before it uses it. A crash or a failure wastes what was taken.
"""

from dataclasses import dataclass
from functools import lru_cache

from . import masked
from .program import Program

__all__ = ["DEFAULT_LIMIT", "Limit", "StockLevel", "Stored", "batches", "image_bytes", "stored"]

PASS_BYTES = 1 << 28  # of memory that one offline pass may work in, roughly
_ELEMENT_BYTES = (
    2048  # while one activation's correlations are made: keys, pads and table entries, an element
)


@dataclass(frozen=True)
class Stored:
    """Bytes of material that each party keeps for a number of images."""

    client: int
    server: int


@dataclass(frozen=True)
class Limit:
    """The most that a server stocks for one client address, over all its sessions."""

    images: int
    bytes: int  # of the server's material


DEFAULT_LIMIT = Limit(images=1 << 12, bytes=10**9)


@dataclass(frozen=True)
class StockLevel:
    """What a session has in stock: images, and the bytes of their arrays at each party."""

    images: int
    client_bytes: int
    server_bytes: int
    limit: Limit

    def most_images(self, program: Program) -> int:
        """Images of this program that the bound allows one client."""
        return min(self.limit.images, self.limit.bytes // max(1, image_bytes(program).server))


def stored(program: Program, images: int) -> Stored:
    """Bytes of the arrays of `images` images' material at each party, exact."""
    costs = [
        masked.protocol(program, op).cost(op.activation(program.modulus), images)
        for op in program.activations
    ]
    ends = program.input.elements + program.output.elements
    masks = sum(op.elements for op in program.linear)
    return Stored(
        client=sum(cost.receiver_stored for cost in costs) + 4 * images * ends,
        server=sum(cost.sender_stored for cost in costs) + 4 * images * masks,
    )


@lru_cache(maxsize=64)
def image_bytes(program: Program) -> Stored:
    """`stored` for one image. Every array has the images as its first axis, so n images take n times this."""
    return stored(program, 1)


def batches(program: Program, images: int) -> list[int]:
    """The images of each offline pass that together make `images`: as few passes as fit, evenly filled."""
    most = max(1, PASS_BYTES // _pass_bytes(program))
    passes = -(-images // most)
    return [images // passes + (i < images % passes) for i in range(passes)]


@lru_cache(maxsize=64)
def _pass_bytes(program: Program) -> int:
    """About what a pass keeps in memory for each image, at the party that needs more."""
    one = image_bytes(program)
    shares = 4 * sum(op.elements for op in program.operations)
    widest = max((op.sign_tests or op.elements for op in program.activations), default=0)
    return max(one.client, one.server) + shares + _ELEMENT_BYTES * widest
