"""Protocols side by side: results, the order of messages, and the round trips of all together."""

import pytest

from circa.protocols.channel import Channel
from circa.protocols.steps import Steps, complete, together
from harness import run_pair


def sender(ch: Channel, name: int, rounds: int) -> Steps[list[bytes]]:
    """Says something in the even steps but the first, hears something in the odd ones."""
    heard = []
    for _ in range(rounds):
        yield
        heard.append(ch.recv(1))
        yield
        ch.send(bytes([name]))
    return heard


def receiver(ch: Channel, name: int, rounds: int) -> Steps[list[bytes]]:
    heard = []
    for _ in range(rounds):
        yield
        ch.send(bytes([name]))
        yield
        heard.append(ch.recv(1))
    return heard


@pytest.mark.parametrize("rounds", [[1], [1, 1, 1], [3, 1, 2], [0, 2], [2, 0, 3, 3], []])
def test_all_together_take_the_round_trips_of_the_longest(rounds: list[int]) -> None:
    left, right, wire = run_pair(
        lambda ch: complete(together([sender(ch, i, r) for i, r in enumerate(rounds)])),
        lambda ch: complete(together([receiver(ch, i, r) for i, r in enumerate(rounds)])),
    )
    assert left == right == [[bytes([i])] * r for i, r in enumerate(rounds)]
    assert wire.right.rounds == max(rounds, default=0)
    assert wire.right.messages_sent == wire.left.messages_sent == sum(rounds)


def test_one_after_the_other_takes_the_sum() -> None:
    _, _, wire = run_pair(
        lambda ch: [complete(sender(ch, i, 2)) for i in range(3)],
        lambda ch: [complete(receiver(ch, i, 2)) for i in range(3)],
    )
    assert wire.right.rounds == 6


def test_a_group_is_itself_in_steps() -> None:
    """Groups of groups take the steps of their members, each step of all before the next of any."""
    said = []

    def run(name: str, steps: int) -> Steps[str]:
        for i in range(steps):
            if i:
                yield
            said.append(f"{name}{i}")
        return name

    result = complete(together([together([run("a", 2), run("b", 1)]), together([run("c", 3)])]))
    assert result == [["a", "b"], ["c"]]
    assert said == ["a0", "b0", "c0", "a1", "c1", "c2"]


def test_a_failure_is_raised_where_it_happens() -> None:
    def fails() -> Steps[None]:
        yield
        raise ValueError("step 1")

    run = together([fails()])
    next(run)
    with pytest.raises(ValueError, match="step 1"):
        next(run)
