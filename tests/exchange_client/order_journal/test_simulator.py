"""The proof: intents under faults and SIGKILL end placed once, and known; each rule of the journal is needed."""

import pytest

from tests.exchange_client.order_journal.simulator import SYMBOLS, Result, Zygote, simulate

STEPS = {f"{when} {what}" for when in ("before", "after") for what in ("intended", "recorded", "request", "sleep")}


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    """Return the process that forks the bots."""
    with Zygote(tmp_path_factory.mktemp("zygote")) as zygote:
        yield zygote


def run(strategy: str, intents: int, zygote: Zygote, folder, *, seed: int = 1, dialects=SYMBOLS) -> Result:
    """Return what came of the intents at some exchanges together."""
    result = Result()
    for dialect in dialects:
        result.add(simulate(strategy, dialect, intents // len(dialects), seed, zygote, folder / dialect))
    return result


def proven(result: Result) -> bool:
    """Return whether each order was placed once, and is known."""
    return not (result.duplicates or result.lost or result.unknown or result.failed)


def test_each_order_is_placed_once_whatever_happens(zygote, tmp_path) -> None:
    """501 intents at Kraken, Binance and Bybit, with bots that are killed at every kind of step."""
    result = run("journal", 501, zygote, tmp_path)
    assert proven(result), result
    assert set(result.kills) == STEPS


@pytest.mark.parametrize("strategy", ["without journal", "naive retry"])
def test_other_ways_place_orders_twice(zygote, tmp_path, strategy) -> None:
    """What everybody does first, and a journal that does not last."""
    assert run(strategy, 24, zygote, tmp_path, dialects=["kraken"]).duplicates


@pytest.mark.nightly
def test_ten_thousand_orders_are_placed_once(zygote, tmp_path) -> None:
    """The same with another seed."""
    result = run("journal", 9_999, zygote, tmp_path, seed=2)
    assert proven(result), result


@pytest.mark.nightly
@pytest.mark.parametrize(
    "strategy",
    ["without fence", "without deadline", "without journal", "naive retry", "same-id retry", "check-then-retry"],
)
def test_each_rule_is_needed(zygote, tmp_path, strategy) -> None:
    """Without it, or in place of all of them, orders are placed twice."""
    assert run(strategy, 900, zygote, tmp_path, seed=3).duplicates
