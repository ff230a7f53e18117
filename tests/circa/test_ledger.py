"""The ledger: one bound a client address, reserved before work, given back whatever happens."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from circa.commands import Verdict
from circa.errors import ParameterError
from circa.ledger import Ledger
from circa.stock import Limit


def test_images_and_bytes_up_to_the_bound() -> None:
    ledger = Ledger(Limit(images=5, bytes=400), image_bytes=100)
    with ledger.account("10.0.0.1") as account:
        assert account.reserve(6) is Verdict.TOO_MANY_IMAGES
        assert account.reserve(5) is Verdict.TOO_MANY_BYTES
        assert (account.images, ledger.images) == (0, 0)
        assert account.reserve(4) is Verdict.ACCEPTED
        assert account.reserve(1) is Verdict.TOO_MANY_BYTES
        account.release(1)
        assert account.reserve(1) is Verdict.ACCEPTED
        assert (account.images, ledger.images) == (4, 4)
    assert ledger.images == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("2001:db8::1", "2001:db8::ffff:2", True),  # of one /64
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("a", "b", False),
    ],
)
def test_who_is_one_client(one: str, other: str, same: bool) -> None:
    ledger = Ledger(Limit(2, 100), 1)
    with ledger.account(one) as first, ledger.account(other) as second:
        assert first.reserve(2) is Verdict.ACCEPTED
        assert (second.reserve(1) is Verdict.ACCEPTED) != same


def test_a_session_that_fails_gives_back_its_own_and_no_more() -> None:
    ledger = Ledger(Limit(10, 100), 1)
    with ledger.account("a") as other:
        other.reserve(3)
        with contextlib.suppress(OSError), ledger.account("a") as account:
            account.reserve(4)
            raise OSError
        assert ledger.images == 3
    assert not ledger._reserved  # addresses that are gone leave no trace


def test_sessions_at_the_same_time_do_not_pass_the_bound_together() -> None:
    ledger = Ledger(Limit(50, 1000), 1)

    def session(_: int) -> int:
        with ledger.account("a") as account:
            got = sum(account.reserve(1) is Verdict.ACCEPTED for _ in range(100))
            account.images = 0  # keeps them
            return got

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(session, range(8))) == 50


@pytest.mark.parametrize("limit", [Limit(0, 100), Limit(1, 9)])
def test_a_bound_below_one_image_is_refused(limit: Limit) -> None:
    with pytest.raises(ParameterError, match="one image of this model takes 10 bytes"):
        Ledger(limit, image_bytes=10)


def test_a_bound_of_exactly_one_image() -> None:
    with Ledger(Limit(1, 10), image_bytes=10).account("a") as account:
        assert account.reserve(1) is Verdict.ACCEPTED
        assert account.reserve(1) is Verdict.TOO_MANY_IMAGES
