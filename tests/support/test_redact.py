"""What we say about an error holds no secret."""

import time

import pytest

from peak_observe.support.redact import describe, printable, redact, redact_data

SECRETS = [
    "GET https://api.kraken.com/0/private/Balance?nonce=1&signature=hunter2",
    "https://user:hunter2@exchange.example/api",
    "https://hunter2@exchange.example/api",
    'rejected: {"apiKey": "hunter2", "symbol": "BTC/USD"}',
    "headers: {'API-Sign': 'hunter2'}",
    "apikey=hunter2&x=1",
    "api_key: hunter2",
    "Authorization: Bearer hunter2",
    "authorization=Basic hunter2",
    "password = hunter2",
    'secret:"hunter2"',
    "passphrase: 'hunter2'",
    "access_token=hunter2",
    "X-BAPI-SIGN-signature: hunter2",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_go(text: str) -> None:
    """Query strings, user parts and secret-looking fields lose their values."""
    assert "hunter2" not in redact(text)


def test_what_helps_at_night_stays() -> None:
    """Host, path and the words around a secret are kept."""
    text = redact("kraken GET https://api.kraken.com/0/public/Ticker?pair=XBTUSD 503 Service Unavailable")
    assert text == "kraken GET https://api.kraken.com/0/public/Ticker 503 Service Unavailable"


@pytest.mark.parametrize(
    "text",
    [
        'kraken {"error":["EAPI:Invalid nonce: bad nonce"]}',
        "Invalid signature: wrong",
        "the token: revoked by its owner",
    ],
)
def test_reasons_stay(text: str) -> None:
    """Values are hidden, not the words of a sentence that name them."""
    assert redact(text) == text


def test_a_long_text_is_cut() -> None:
    """An HTML page as an error's message becomes 300 characters."""
    text = redact("x" * 1_000_000)
    assert len(text) == 300
    assert text.endswith("…")


def test_an_error_is_one_line() -> None:
    """Class and message, line breaks folded."""
    assert describe(ValueError("first\n  second")) == "ValueError: first second"


def test_an_error_without_message_is_its_class() -> None:
    """There is no colon without a message."""
    assert describe(TimeoutError()) == "TimeoutError"


def test_an_error_that_cannot_say_itself_is_named() -> None:
    """A broken __str__ of somebody's exception breaks nothing here."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe(MuteError()) == "MuteError"


def test_a_long_word_takes_no_time() -> None:
    """Whatever its characters: a message of a megabyte must not stop the program."""
    started = time.thread_time()
    for char in ("x", "-", "a.", "token", "https://"):
        redact(char * 1_000_000)
    assert time.thread_time() - started < 1


def test_a_value_that_cannot_say_itself_is_named() -> None:
    """A broken __str__ breaks nothing."""

    class Mute:
        def __str__(self) -> str:
            raise RuntimeError

    assert redact_data({"x": [Mute()]}) == {"x": ["Mute"]}


def test_what_a_terminal_would_act_upon_is_written_out() -> None:
    """Letters of all scripts stay; line ends, escape codes and halves of characters are shown by their codes."""
    assert printable("größe 12 ✅\n\x1b[2J\udcff") == r"größe 12 ✅\n\x1b[2J\udcff"
