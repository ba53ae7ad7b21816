"""Every unified method that changes something, at ten exchanges: sent once, its outcome unknown without an answer."""

import contextlib
import inspect

import pytest
import requests

from peak_observe import OutcomeUnknown
from peak_observe.exchange_client import reviews
from peak_observe.exchange_client.request import current_call
from tests.exchange_client.test_false_success import ADDRESS, MARKETS, TEN, client_of

AT_LEAST = 20
"""Calls that send a change; the methods that an exchange does not have are ccxt's refusals."""


def arguments(method: object, symbol: str) -> list[object]:
    """Return arguments by the names of a method's parameters."""
    order = {"symbol": symbol, "type": "limit", "side": "buy", "amount": 1, "price": 100, "id": "1"}
    known = {
        **order, "ids": ["1", "2"], "orders": [order, {**order, "id": "2"}], "symbols": [symbol], "code": "USDT",
        "address": ADDRESS, "cost": 100, "leverage": 5, "marginMode": "cross", "hedged": True, "fromAccount": "spot",
        "toAccount": "swap", "timeout": 10_000, "triggerPrice": 90, "stopLossPrice": 80, "takeProfitPrice": 120,
        "stopLoss": 80, "takeProfit": 120, "clientOrderId": "7", "clientOrderIds": ["7"], "fromCode": "USDT",
        "toCode": "BTC", "trailingAmount": 1, "trailingPercent": 1, "trailingTriggerPrice": 90,
        "params": {"network": "BTC", "key": "home"},
    }  # fmt: skip
    return [
        known.get(name, "1" if found.default is found.empty else found.default)
        for name, found in inspect.signature(method).parameters.items()
        if found.kind not in (found.VAR_POSITIONAL, found.VAR_KEYWORD)
    ]


@pytest.mark.parametrize("exchange_id", TEN)
def test_every_method_that_changes_something(exchange_id: str) -> None:
    """Whatever its name, and whatever it asks before: nothing is sent twice, and no fate is lost."""
    wrong, sent = [], 0
    for kind, symbol in MARKETS.items():
        with contextlib.closing(client_of(exchange_id, kind)) as client:
            for method in reviews.unified_writes():
                if method.endswith("_ws") or not hasattr(client.exchange, method):
                    continue
                writes = []

                def request(*_: object, **__: object) -> None:
                    writes.append(current_call.get().last_write)  # noqa: B023 - called at once
                    raise requests.Timeout("no answer")

                client.exchange.session.request = request
                raised = None
                try:
                    call = getattr(client, method)
                    call(*arguments(call, symbol))
                except Exception as error:
                    raised = error
                writes = [write for write in writes if write is not None]
                sent += len(writes)
                if len(writes) > 1 or isinstance(raised, OutcomeUnknown) != bool(writes):
                    wrong.append((method, kind, [write.label for write in writes], raised))
    assert wrong == []
    assert sent >= AT_LEAST
