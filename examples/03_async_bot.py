"""An async bot: many tasks share one circuit, and when it opens all of them stop asking at once.

python examples/03_async_bot.py
"""

from __future__ import annotations

import asyncio

from peak_observe import CircuitOpenError, circuit_breaker, get_breaker, retry_with_backoff

requests = 0
maintenance = False


@circuit_breaker(failure_threshold=3, recovery_timeout=0.2, name="candles")
@retry_with_backoff(max_attempts=2, base_delay=0.01, expected_exception=ConnectionError)
async def fetch_candles(symbol: str) -> str:
    """Ask the exchange for the candles of one symbol."""
    global requests  # noqa: PLW0603 - counts what really goes out
    requests += 1
    await asyncio.sleep(0.005)
    if maintenance:
        raise ConnectionError("503 Service Unavailable")
    return f"{symbol}: 100 candles"


async def update(symbol: str) -> str:
    """Update one symbol, and live without if that is not possible now."""
    try:
        return await fetch_candles(symbol)
    except CircuitOpenError:
        return "refused"
    except ConnectionError:
        return "failed"


async def all_symbols(count: int) -> None:
    """Update all symbols side by side, 4 at a time, and print how that went."""
    global requests
    requests, turn = 0, asyncio.Semaphore(4)

    async def one(number: int) -> str:
        async with turn:
            return await update(f"COIN{number}/USD")

    outcomes = await asyncio.gather(*map(one, range(count)))
    summary = {word: sum(word in outcome for outcome in outcomes) for word in ("candles", "failed", "refused")}
    print(summary, "requests:", requests, "circuit:", get_breaker("candles").state.value)


async def main() -> None:
    """Play calm, maintenance, calm."""
    global maintenance  # noqa: PLW0603 - the example's whole world
    await all_symbols(50)
    maintenance = True
    await all_symbols(50)  # 50 symbols, but no more than a few requests
    maintenance = False
    await asyncio.sleep(0.2)
    print(await update("BTC/USD"), "- the probe")
    await all_symbols(50)


if __name__ == "__main__":
    asyncio.run(main())
