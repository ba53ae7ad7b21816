"""Answers in which no exchange can have refused anything."""

import pytest

from peak_observe.exchange_client.empty_answers import says_nothing


@pytest.mark.parametrize(
    "body",
    ["", "null", "true", "0", '"ok"', "ok", "<html></html>", "{", "{}", "[]", '{"code": 0}', '{"success": true}',
     '{"code": "00000", "msg": "success", "data": null}', '{"result": {"ids": [null]}}'],
)  # fmt: skip
def test_nothing_is_said(body: str) -> None:
    """No code but zero, no word but that all is well."""
    assert says_nothing(body)


@pytest.mark.parametrize(
    "body",
    [
        '{"code": 51000}',
        '{"success": false}',
        '{"msg": "Insufficient balance"}',
        '["EOrder:Unknown"]',
        '{"a": [{"b": "no"}]}',
    ],
)
def test_something_is_said(body: str) -> None:
    """A code, a word, or that it failed."""
    assert not says_nothing(body)
