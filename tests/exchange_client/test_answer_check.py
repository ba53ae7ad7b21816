"""Whether an answer that ccxt takes for good holds what was asked for."""

import pytest

from peak_observe.exchange_client.answer_check import misshapen
from peak_observe.exchange_client.classify import Answer


def answer(status: int = 200, body: str = "") -> Answer:
    """Return an answer without headers."""
    return Answer(status, {}, body)


@pytest.mark.parametrize(
    ("parsed", "body", "expected"),
    [
        ({"a": 1}, '{"a":1}', ""),
        ([], "[]", ""),
        ({}, "{}", "an empty object"),
        ("", "", "an empty body"),
        (None, "  ", "an empty body"),
        ("<html>", " <html>", "a page of HTML"),
        ('{"a', '{"a', "cut off JSON"),
        ("[1", "[1", "cut off JSON"),
        ("OK", "OK", ""),
    ],
)
def test_the_shape_of_an_answer(parsed: object, body: str, expected: str) -> None:
    """What is wrong with it, or nothing; plain words may be what an endpoint answers."""
    assert misshapen(parsed, answer=answer(200, body)) == expected


def test_some_answers_may_be_empty() -> None:
    """No content has no body, a ping nothing to say, and two exchanges confirm a cancel by `{}`."""
    assert misshapen("", answer=answer(204)) == ""
    assert misshapen({}, answer=answer(), exchange="binance", path="ping") == ""
    assert misshapen({}, answer=answer(), exchange="blockchaincom", path="orders", method="DELETE") == ""
    assert misshapen({}, answer=answer(), exchange="blockchaincom", path="orders") == "an empty object"
