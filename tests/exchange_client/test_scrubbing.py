"""Secrets are taken out of texts and exceptions, in all the forms that they may have there."""

import json
import pickle

import aiohttp
import pytest
import requests
import yarl

from peak_observe.exchange_client.scrubbing import HIDDEN, Scrubber, WireFilter, credentials, sent_secrets

KEY, SECRET = "key/with+signs=", "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END"


@pytest.fixture
def scrubber() -> Scrubber:
    """One that knows two secrets."""
    return Scrubber(lambda: [KEY, SECRET])


@pytest.mark.parametrize(
    "text",
    [
        f"key {KEY}",
        "key key%2Fwith%2Bsigns%3D",
        json.dumps({"k": SECRET}),
        repr(SECRET),
        "https://api.example.com/v1/order?symbol=A&signature=abcdef",
        "Max retries exceeded with url: /api/v3/order?timestamp=1&signature=abcdef (Caused by X)",
        "{'X-MBX-APIKEY': 'abcdef', 'API-Sign': 'abcdef=='}",
        '"KC-API-PASSPHRASE": "abcdef"',
        "nonce=17&otp=abcdef&ordertype=limit",
        "Authorization: Bearer abcdef",
    ],
)
def test_texts_are_clean(scrubber, text) -> None:
    """By value in every encoding, and by the name of the field."""
    clean = scrubber.text(text)
    assert not [secret for secret in (KEY, "abcdef", "MIIE", "%2Fwith") if secret in clean]


def test_what_helps_stays(scrubber) -> None:
    """The exchange's words, host and path."""
    text = 'kraken {"error":["EAPI:Invalid nonce"]} POST https://api.kraken.com/0/private/AddOrder 520'
    assert scrubber.text(text) == text


def test_exceptions_are_clean_with_all_they_came_from(scrubber) -> None:
    """Arguments, attributes, notes, causes, contexts and members of groups; also when pickled."""
    inner = requests.ConnectionError(f"url: /x?signature=abcdef {KEY}", request=requests.Request("GET", KEY))
    try:
        try:
            raise inner
        except requests.ConnectionError as error:
            raise ValueError(f"secret {SECRET!r}", {"k": [KEY]}, KEY.encode(), 7) from error
    except ValueError as error:
        outer = error
    outer.add_note(f"note {KEY}")
    outer.own = {"key": KEY}
    group = ExceptionGroup("g", [outer])
    scrubber.error(group)
    for error in (outer, inner):
        text = repr(error) + repr(vars(error)) + pickle.dumps(error).decode("latin-1")
        assert not [secret for secret in (KEY, "abcdef", "MIIE") if secret in text]
    assert inner.request is None
    assert outer.args[3] == 7
    assert HIDDEN in str(outer)


def test_an_aiohttp_error_can_still_say_itself(scrubber) -> None:
    """Its text is made of the request, which is replaced."""
    request = aiohttp.RequestInfo(yarl.URL(f"https://x/?signature={SECRET}"), "GET", {"API-Key": KEY})
    error = aiohttp.ClientResponseError(request, (), status=500, message=KEY, headers={"X": KEY})
    scrubber.error(error)
    assert str(error) == f"500, message='{HIDDEN}', url='{HIDDEN}'"
    assert KEY not in repr(vars(error))


def test_an_exception_that_resists_hides_nothing_else(scrubber) -> None:
    """What it came from is cleaned all the same, and nothing is raised."""

    class StubbornError(Exception):
        @property
        def args(self):
            return (KEY,)

    stubborn = StubbornError()
    stubborn.__cause__ = cause = ValueError(KEY)
    scrubber.error(stubborn)
    assert str(cause) == HIDDEN


class Exchange:
    """What is asked of a ccxt object."""

    requiredCredentials = {"apiKey": True, "privateKey": True, "accountId": True}  # noqa: N815 - ccxt's name
    apiKey = KEY  # noqa: N815 - the same
    secret = None
    uid = "12"
    accountId = "account-7"  # noqa: N815 - the same


def test_credentials_are_found_by_ccxts_list() -> None:
    """Also those of which only this exchange knows; a value of two letters would hide half of every text."""
    assert set(credentials(Exchange())) == {KEY, "account-7"}
    assert credentials(None) == []


def test_what_was_sent_signed_is_secret() -> None:
    """Headers but for the common ones, signatures in query and body."""
    found = sent_secrets(
        "https://x/?symbol=BTCUSDT&signature=abcdef", {"API-Sign": "signed", "Accept": "text"}, "nonce=1234&a=5678"
    )
    assert set(found) == {"abcdef", "signed", "1234"}
    assert sent_secrets("https://x/", None, {"a": 1}) == []


def test_lines_of_other_libraries_are_left_alone() -> None:
    """The filter looks at urllib3's addresses only."""
    import logging

    record = logging.LogRecord("n", 10, "p", 1, "%(a)s", ({"a": "x?signature=1"},), None)
    assert WireFilter().filter(record)
    assert record.getMessage() == "x?signature=1"


@pytest.mark.parametrize(
    "text",
    [
        'kraken {"error":["EAPI:Invalid nonce: bad nonce"]}',
        'kraken {"error":["EAPI:Invalid signature: wrong"]}',
        "Invalid API-key: disabled",
        '{"authError": "Signature expired at the gateway"}',
        "the token: revoked by its owner",
        "HTTP 401: authorization: missing header",
        "Invalid nonce: 1700000000123 is lower than before",  # a time
    ],
)
def test_reasons_stay(scrubber, text) -> None:
    """Values are hidden, not the words after a name."""
    assert scrubber.text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "API-Passphrase: abc\nHost: x",
        "sent Authorization: Bearer abcdef",
        '{"signature": "abcdef"}',
        "password=abc",
        "password is token: x9abcdef",
    ],
)
def test_values_go(scrubber, text) -> None:
    """Whatever stands around them."""
    assert HIDDEN in scrubber.text(text)
    assert not [value for value in ("x9abcdef", "abc") if value in scrubber.text(text)]


def test_a_short_credential_is_hidden_where_it_stands_alone() -> None:
    """A user's number may be a part of any other."""
    scrubber = Scrubber(lambda: ["1234"])
    assert scrubber.text("user 1234 order 912345 uid=1234") == f"user {HIDDEN} order 912345 uid={HIDDEN}"


def test_what_a_header_says_plainly_is_not_secret() -> None:
    """A window or a channel that the exchange repeats is a part of its reason."""
    headers = {
        "X-BAPI-RECV-WINDOW": "5000", "X-Gate-Channel-Id": "ccxt", "ACCESS-TIMESTAMP": "1700000000000",
        "X-BAPI-SIGN": "0a1b2c3d4e5f", "KEY": "keykey", "X-SIGN-TYPE": "HmacSHA256", "X-Odd": "0123456789abcdef",
    }  # fmt: skip
    assert sent_secrets("https://x", headers, None) == ["0a1b2c3d4e5f", "keykey", "0123456789abcdef"]
