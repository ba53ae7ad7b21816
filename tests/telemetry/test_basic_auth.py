"""Who may ask: right and wrong passwords, remembered, and nothing that time or memory give away."""

import base64
import statistics
import time

import bcrypt
import pytest

from peak_observe.telemetry import basic_auth
from peak_observe.telemetry.basic_auth import Passwords


def basic(name: str, password: bytes) -> str:
    """Return the header of a name and a password."""
    return f"Basic {base64.b64encode(name.encode() + b':' + password).decode()}"


@pytest.fixture
def known() -> Passwords:
    """Two users."""
    return Passwords({name: bcrypt.hashpw(name.encode(), bcrypt.gensalt(4)) for name in ("anna", "bob")})


def test_the_right_password_is_right(known: Passwords) -> None:
    """And from then on it takes no time."""
    header = basic("anna", b"anna")
    assert known.remembered(header) is None
    assert known.check(header) is True
    assert known.remembered(header) is True


@pytest.mark.parametrize(
    "header",
    [
        basic("anna", b"bob"),
        basic("anna", b""),
        basic("nobody", b"anna"),
        basic("", b""),
        basic("anna", b"anna\0"),
        basic("anna", b"a" * 73),
        basic("anna", b"\xff\xfe"),
        "Basic",
        "Basic !!!",
        "Basic /w==",
        "Bearer anna",
        "nonsense",
        "Basic é",
    ],
)
def test_all_others_are_wrong(known: Passwords, header: str) -> None:
    """Whatever it is; also the second time."""
    assert known.check(header) is False
    assert known.remembered(header) is False


def test_without_a_header_nobody_is_asked(known: Passwords) -> None:
    """It is the first request of every browser."""
    assert known.remembered("") is False
    assert Passwords({}).remembered("") is True


def test_a_flood_of_wrong_ones_displaces_no_right_one(known: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prometheus keeps its quick answer, and the memory is bounded."""
    monkeypatch.setattr(basic_auth, "REMEMBERED", 5)
    header = basic("anna", b"anna")
    known.check(header)
    for number in range(20):
        known.check(basic("anna", str(number).encode()))
    assert known.remembered(header) is True
    assert len(known._wrong) == 5


def test_no_password_is_kept(known: Passwords) -> None:
    """Only digests under a key of this process."""
    header = basic("anna", b"anna")
    known.check(header)
    assert all(len(digest) == 64 for digest in known._right)
    other = Passwords(known._users)
    other.check(header)
    assert list(other._right) != list(known._right)


def test_a_name_that_nobody_has_takes_as_long_as_a_wrong_password() -> None:
    """Bcrypt runs once for each, so its time tells nothing of the name."""
    known = Passwords({"anna": bcrypt.hashpw(b"anna", bcrypt.gensalt(8))})

    def seconds(name: str, number: int) -> float:
        start = time.perf_counter()
        known.check(basic(name, str(number).encode()))
        return time.perf_counter() - start

    pairs = [(seconds("anna", number), seconds("nobody", number)) for number in range(9)]
    assert 0.3 < statistics.median(a / b for a, b in pairs) < 3
