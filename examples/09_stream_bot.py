"""A bot that trades on candles of a websocket and survives the demo's outage script without losing sight of its orders.

python examples/09_stream_bot.py
"""

from __future__ import annotations

import asyncio
import logging

import ccxt.pro

from peak_observe import (
    AsyncResilientExchangeClient,
    OutcomeUnknown,
    StreamBroken,
    StreamResumed,
    health_check,
    observe,
)
from peak_observe.demo.script import SCRIPT
from peak_observe.testing import FakeExchange

FASTER = 6  # than the demo, which takes 38 seconds
SYMBOL = "BTC/USD"


class Bot:
    """Buys a little at each look at the candles, and knows which orders stand."""

    def __init__(self, client: AsyncResilientExchangeClient) -> None:
        self.client = client
        self.standing: set[str] = set()
        self.gap = asyncio.Event()
        self.unknown = 0

    def on_event(self, event: object) -> None:
        """Note that news of orders may have been lost; called on the event loop of the stream."""
        if isinstance(event, StreamBroken | StreamResumed):
            print(f"{event.stream} {'lost' if isinstance(event, StreamBroken) else 'back'}: {event.reason}")
        if isinstance(event, StreamResumed) and event.stream == "orders":
            self.gap.set()

    async def trade(self) -> None:
        """Buy whenever the candles say something new, at most a few times a second."""
        while True:
            try:
                candles = await self.client.watch_ohlcv(SYMBOL, "1m")
                price = round(candles[-1][4] * 0.9, 1)
                await self.client.create_order(SYMBOL, "limit", "buy", 0.001, price)
            except OutcomeUnknown:
                self.unknown += 1
            except ccxt.pro.BaseError:
                pass  # ccxt delays its next attempt by itself
            await asyncio.sleep(0.2)

    async def follow_orders(self) -> None:
        """Take in what the exchange tells of orders."""
        while True:
            try:
                for order in await self.client.watch_orders():
                    self.standing.add(order["id"])
            except ccxt.pro.BaseError:
                pass

    async def catch_up(self) -> None:
        """Fetch the open orders once after each gap."""
        while True:
            await self.gap.wait()
            self.gap.clear()
            try:
                orders = await self.client.fetch_open_orders(SYMBOL)
            except ccxt.pro.BaseError:
                self.gap.set()  # again, when it answers
                await asyncio.sleep(0.2)
                continue
            missed = {order["id"] for order in orders} - self.standing
            self.standing |= missed
            print(f"fetched {len(orders)} open orders after a gap")


async def main() -> None:
    """Trade through the outage script."""
    logging.getLogger("peak_observe").setLevel(logging.CRITICAL)
    with FakeExchange() as fake:
        exchange = ccxt.pro.kraken({**fake.config(), "timeout": 1000})
        async with AsyncResilientExchangeClient(exchange, recovery_timeout=0.5, stream_max_silence=0.5) as client:
            bot = Bot(client)
            forget = observe(bot.on_event)
            tasks = [asyncio.create_task(work()) for work in (bot.trade, bot.follow_orders, bot.catch_up)]
            for phase in SCRIPT:
                print(f"exchange: {phase.name}")
                fake.heal()
                if phase.fault:
                    fake.fail(phase.fault)
                await asyncio.sleep(phase.seconds / FASTER)
            tasks[0].cancel()  # no more orders; the news of the last one may still be under way
            await asyncio.sleep(2.0)
            found = await asyncio.to_thread(health_check.run_all, only=["stream_kraken"])
            print(found["stream_kraken"].message)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            forget()
        await exchange.close()
        print(f"{len(fake.orders)} orders stand, {len(bot.standing)} are known to the bot")


if __name__ == "__main__":
    asyncio.run(main())
