"""pytest fixtures for trading code; import those you want into a `conftest.py`.

`from peak_observe.testing.fixtures import fake_kraken, fake_bybit, no_delays` there is all it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from peak_observe.testing import fast_retries
from peak_observe.testing.exchange import FakeExchange

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def no_delays() -> Iterator[None]:
    """Let no retry wait during the test."""
    with fast_retries.no_delays():
        yield


@pytest.fixture
def fake_kraken() -> Iterator[FakeExchange]:
    """Return a Kraken of the test's own on 127.0.0.1, which fails on command."""
    with FakeExchange() as exchange:
        yield exchange


@pytest.fixture
def fake_binance() -> Iterator[FakeExchange]:
    """Return a Binance of the test's own on 127.0.0.1, which fails on command."""
    with FakeExchange(dialect="binance") as exchange:
        yield exchange


@pytest.fixture
def fake_bybit() -> Iterator[FakeExchange]:
    """Return a Bybit of the test's own on 127.0.0.1, which fails on command."""
    with FakeExchange(dialect="bybit") as exchange:
        yield exchange


@pytest.fixture
def fake_okx() -> Iterator[FakeExchange]:
    """Return an OKX of the test's own on 127.0.0.1, which fails on command."""
    with FakeExchange(dialect="okx") as exchange:
        yield exchange
