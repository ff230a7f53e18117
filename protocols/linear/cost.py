"""What a linear layer costs, exact, from public data alone.

Offline: one message up for every request polynomial, one down for every response. Online: nothing.
"""

from dataclasses import dataclass

from ..packing import packed_size
from .parameters import B4096, parameter_set
from .plan import make_plan
from .shape import LinearShape

__all__ = ["LinearCost", "cost", "setup_bytes"]


@dataclass(frozen=True)
class LinearCost:
    """Payload bytes and messages of one layer and batch, all offline: a linear layer sends nothing online."""

    bytes_up: int  # receiver to sender
    bytes_down: int  # sender to receiver
    messages_up: int
    messages_down: int
    products: int  # of a request and a weight polynomial
    prepared_bytes: int  # memory of all weight polynomials, where the sender keeps them


def setup_bytes(parameters: str = B4096.name) -> int:
    """The public key, receiver to sender, once a session."""
    return parameter_set(parameters).request_bytes


def cost(shape: LinearShape, batch: int, parameters: str = B4096.name) -> LinearCost:
    """The cost of `batch` images through one layer; the modulus of the shares does not change it."""
    chosen = parameter_set(parameters)
    plan = make_plan(shape, batch, chosen)
    down = plan.responses * chosen.response_bytes
    for block in plan.blocks:
        for m in range(plan.output_blocks):
            parts = plan.where(block, m)
            count = 1
            for part in parts:
                count *= part.stop - part.start
            down += packed_size(count, chosen.data_bits[0])
    return LinearCost(
        bytes_up=plan.requests * chosen.request_bytes,
        bytes_down=down,
        messages_up=plan.requests,
        messages_down=plan.responses,
        products=plan.weight_polynomials * len(plan.blocks),
        prepared_bytes=plan.weight_polynomials * chosen.plaintext_bytes,
    )
