"""The proof: intents under faults and SIGKILL end placed once, and known; each rule of the journal is needed."""

import pytest

from tests.exchange_client.order_journal.simulator import SYMBOLS, Result, Zygote, simulate

STEPS = {"intended", "recorded", "request", "sleep"}


@pytest.fixture
def zygote(tmp_path):
    """Return the process that forks the bots."""
    with Zygote(tmp_path) as zygote:
        yield zygote


def run(strategy: str, intents: int, zygote: Zygote, folder, *, seed: int = 1) -> Result:
    """Return what came of the intents at all exchanges together."""
    result = Result()
    for dialect in SYMBOLS:
        result.add(simulate(strategy, dialect, intents // len(SYMBOLS), seed, zygote, folder / dialect))
    return result


def proven(result: Result) -> bool:
    """Return whether each order was placed once, and is known."""
    return not (result.duplicates or result.lost or result.unknown or result.failed)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("dialect", SYMBOLS)
def test_each_order_is_placed_once_whatever_happens(zygote, tmp_path, dialect) -> None:
    """501 intents at three exchanges, with bots that are killed at every kind of step."""
    result = simulate("journal", dialect, 167, 1, zygote, tmp_path / dialect)
    assert proven(result), result
    assert sum(result.kills.values()) > 20
    assert {step.partition(" ")[2] for step in result.kills} == STEPS


@pytest.mark.timeout(600)
def test_other_ways_place_orders_twice(zygote, tmp_path) -> None:
    """What everybody does first, and a journal that does not last."""
    for strategy in ("without journal", "naive retry"):
        assert simulate(strategy, "kraken", 24, 1, zygote, tmp_path / strategy).duplicates


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_ten_thousand_orders_are_placed_once(zygote, tmp_path) -> None:
    """The same with another seed."""
    result = run("journal", 9_999, zygote, tmp_path, seed=2)
    assert proven(result), result


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "strategy",
    ["without fence", "without deadline", "without journal", "naive retry", "same-id retry", "check-then-retry"],
)
def test_each_rule_is_needed(zygote, tmp_path, strategy) -> None:
    """Without it, or in place of all of them, orders are placed twice."""
    assert run(strategy, 900, zygote, tmp_path, seed=3).duplicates
