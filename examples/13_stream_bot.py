"""A bot that trades on candles of a websocket through the demo's outage script: each order once, none out of sight.

python examples/13_stream_bot.py
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path

import ccxt.pro

from peak_observe import (
    AsyncResilientExchangeClient,
    OrderJournal,
    OrderNotPlaced,
    OrderTimes,
    StreamBroken,
    StreamResumed,
    health_check,
    observe,
)
from peak_observe.demo.script import SCRIPT
from peak_observe.testing import FakeExchange

FASTER = 6  # than the demo, which takes 38 seconds
SYMBOL = "BTC/USD"
TIMES = {"kraken": OrderTimes(deadline=1.0, visibility=0.2, interval=0.1)}  # short, as the exchange is near


class Bot:
    """Buys a little at each look at the candles, and knows which orders stand."""

    def __init__(self, client: AsyncResilientExchangeClient) -> None:
        self.client = client
        self.standing: set[str] = set()
        self.gap = asyncio.Event()

    def on_event(self, event: object) -> None:
        """Note that news of orders may have been lost; called on the event loop of the stream."""
        if isinstance(event, StreamBroken | StreamResumed):
            print(f"{event.stream} {'lost' if isinstance(event, StreamBroken) else 'back'}: {event.reason}")
        if isinstance(event, StreamResumed) and event.stream == "orders":
            self.gap.set()

    async def trade(self) -> None:
        """Buy when the candles say something new, a few times a second; the same order until it is known to stand."""
        number = 0
        while True:
            if await self.bought(f"candle-{number}"):
                number += 1
            await asyncio.sleep(0.2)

    async def bought(self, key: str) -> bool:
        """Return whether the order of a key stands; the same key twice is the same order."""
        try:
            candles = await self.client.watch_ohlcv(SYMBOL, "1m")
            price = round(candles[-1][4] * 0.9, 1)
            await self.client.submit(key, SYMBOL, "limit", "buy", 0.001, price)
        except (ccxt.pro.BaseError, OrderNotPlaced):
            return False  # ccxt delays its next attempt to connect by itself
        return True

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
    settings = {"recovery_timeout": 0.5, "stream_max_silence": 0.5}
    with (
        FakeExchange() as fake,
        tempfile.TemporaryDirectory() as folder,
        OrderJournal(Path(folder, "orders.sqlite"), times=TIMES) as journal,
    ):
        exchange = ccxt.pro.kraken({**fake.config(), "timeout": 1000})
        async with AsyncResilientExchangeClient(exchange, journal=journal, **settings) as client:
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
            await asyncio.gather(tasks[0], return_exceptions=True)
            await client.reconcile()
            await asyncio.sleep(2.0)
            found = await asyncio.to_thread(health_check.run_all, only=["stream_kraken"])
            print(found["stream_kraken"].message)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            forget()
        await exchange.close()
        twice = len(fake.orders) - len({order.client_order_id for order in fake.orders})
        print(f"{len(fake.orders)} orders stand, {len(bot.standing)} are known to the bot, {twice} are there twice")
        print("of unknown fate:", journal.pending())


if __name__ == "__main__":
    asyncio.run(main())
