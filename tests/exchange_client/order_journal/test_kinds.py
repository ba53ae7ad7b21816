"""Kinds of orders: market buys by cost, stops, trailing stops, partial fills."""

from dataclasses import replace

import pytest

from peak_observe.testing import Fault


def test_a_market_buy_by_cost_is_placed_once(desk_of) -> None:
    """Its answer is lost, and it has no amount."""
    desk = desk_of("binance")
    desk.fake.fail(Fault.lost_reply(), path=desk.place, times=1)
    order = desk.submit(type="market", amount=None, price=None, params={"cost": 100})
    assert len(desk.fake.orders) == 1
    assert order["id"] == desk.fake.orders[0].id
    assert desk.journal.find("a").text == "market buy BTC/USDT"


@pytest.mark.parametrize("params", [{"stopLossPrice": 30_000}, {"takeProfitPrice": 90_000}, {"trailingPercent": 5}])
def test_an_order_that_waits_for_a_trigger_is_placed_once(desk_of, params) -> None:
    """At Kraken it stands among the others."""
    desk = desk_of()
    desk.fake.fail(Fault.lost_reply(), path=desk.place, times=1)
    desk.submit(type="market", side="sell", price=None, params=params)
    kept = desk.journal.find("a")
    assert len(desk.fake.orders) == 1
    assert kept.conditional
    assert (kept.state, kept.sends) == ("open", 1)


def test_triggers_at_bybit_are_asked_for_in_both_places(desk_of) -> None:
    """Before they are triggered, and after."""
    desk = desk_of("bybit")
    desk.fake.fail(Fault.lost_reply(), path=desk.place, times=1)
    desk.submit(params={"triggerPrice": 30_000})
    assert (len(desk.fake.orders), desk.state()) == (1, "open")


def test_triggers_that_cannot_be_looked_up_are_refused_before_anything_is_sent(desk_of, monkeypatch) -> None:
    """As at an exchange that keeps them where no client id leads."""
    desk = desk_of()
    settlement = desk.client._journaled._protocol._settlement
    monkeypatch.setattr(settlement, "_look_up", replace(settlement.look_up, conditional=None))
    with pytest.raises(ValueError, match="finds no order that waits for a trigger by client order id"):
        desk.submit(params={"triggerPrice": 30_000})
    assert desk.journal.find("a") is None


def partly(desk, filled: str, **changes) -> None:
    """Fill a part of the one order of Kraken."""
    order = desk.fake._dialect.place(replace(desk.fake.orders[0], **changes))
    show = desk.fake._dialect.answer

    def answer(*args, **kwargs):
        reply = show(*args, **kwargs)
        for part in ("open", "closed"):
            shown = reply.payload.get("result", {}).get(part, {}) if isinstance(reply.payload, dict) else {}
            if order.id in shown:
                shown[order.id]["vol_exec"] = filled
        return reply

    desk.fake._dialect.answer = answer


def test_a_partial_fill_is_known(desk_of) -> None:
    """The order stays open, and tells how much was filled."""
    desk = desk_of()
    desk.submit()
    partly(desk, "0.04")
    (kept,) = desk.reconcile(open_orders=True)
    assert (kept.state, kept.order["filled"], kept.order["remaining"]) == ("open", 0.04, pytest.approx(0.06))


def test_a_part_that_was_filled_before_a_cancel_stays_known(desk_of) -> None:
    """Cancelled by hand on the website."""
    desk = desk_of()
    desk.submit()
    partly(desk, "0.04", status="canceled")
    (kept,) = desk.reconcile(open_orders=True)
    assert (kept.state, kept.order["status"], kept.order["filled"]) == ("closed", "canceled", 0.04)
    assert desk.submit()["filled"] == 0.04


def test_an_order_that_is_shown_no_more_is_closed(desk_of) -> None:
    """It stood, and has ended so long ago that the exchange forgot it."""
    desk = desk_of()
    desk.submit()
    desk.fake._dialect._orders.clear()
    (kept,) = desk.reconcile(open_orders=True)
    assert (kept.state, kept.reason) == ("closed", "the exchange shows it no more")
