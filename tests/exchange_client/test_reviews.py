"""All that the installed ccxt has was judged, and what was judged is found quickly."""

import importlib.util
import inspect
import time
from pathlib import Path

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest

from peak_observe.exchange_client import endpoints, reviews

SCRIPT = Path(__file__).with_name("review_ccxt.py")


@pytest.fixture(scope="module")
def review():
    """The script that lists what nobody judged."""
    spec = importlib.util.spec_from_file_location("review_ccxt", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_endpoint_was_judged(review) -> None:
    """One that a newer ccxt brings is a write until somebody did."""
    found = review.unjudged_endpoints()
    assert not found, f"run `python tests/exchange_client/{SCRIPT.name}` and judge what it marks with `?`: {found}"


def test_every_method_was_judged(review) -> None:
    """Of all classes, sync, async and pro."""
    found = review.unjudged_methods()
    assert not found, f"run `python tests/exchange_client/{SCRIPT.name}` and sort what it adds: {sorted(found)}"


def test_the_script_names_what_is_new(review, tmp_path, monkeypatch) -> None:
    """And puts it into the files, where it counts as a write until it is judged."""
    endpoints_folder = tmp_path / "endpoints"
    endpoints_folder.mkdir()
    text = (reviews.FOLDER / "endpoints" / "kraken.txt").read_text("utf-8")
    for exchange in ccxt.exchanges:
        source = reviews.FOLDER / "endpoints" / f"{exchange}.txt"
        (endpoints_folder / source.name).write_text(source.read_text("utf-8"), "utf-8")
    (endpoints_folder / "kraken.txt").write_text(text.replace("r Ticker\n", "").replace("w AddOrder\n", ""), "utf-8")
    (endpoints_folder / "binanceusdm.txt").unlink()
    methods = (reviews.FOLDER / "methods.txt").read_text("utf-8")
    (tmp_path / "methods.txt").write_text(methods.replace("\ncreate_order\n", "\n"), "utf-8")
    monkeypatch.setattr(reviews, "FOLDER", tmp_path)
    caches = (reviews._reviewed, reviews.lineage, reviews.endpoint_effects, reviews.method_kinds)
    for cached in caches:
        cached.cache_clear()
    try:
        found = review.unjudged_endpoints()
        assert found["kraken"] == {"GET public/Ticker", "POST private/AddOrder"}
        assert set(found) == {"kraken", "binanceusdm"}
        assert review.unjudged_methods() == {"create_order"}
        review.main()
        for cached in caches:
            cached.cache_clear()
        assert review.unjudged_endpoints() == {"kraken": found["kraken"]}
        assert endpoints.is_write("GET public/Ticker", exchange="kraken")
        assert "[GET public]\n? Ticker\n" in (endpoints_folder / "kraken.txt").read_text("utf-8")
        assert (endpoints_folder / "binanceusdm.txt").read_text("utf-8") == "like binance\n"
        assert (tmp_path / "methods.txt").read_text("utf-8").endswith("? create_order\n")
    finally:
        for cached in caches:
            cached.cache_clear()


def test_the_files_are_well_formed() -> None:
    """A head before each entry, no entry twice, nothing to be judged."""
    for path in (reviews.FOLDER / "endpoints").iterdir():
        head, seen = "", set()
        for number, line in enumerate(path.read_text("utf-8").splitlines()):
            mark, _, rest = line.partition(" ")
            if line.startswith("["):
                head = line
            elif mark == "like":
                assert (number, (path.parent / f"{rest}.txt").is_file()) == (0, True), path
            else:
                assert mark in {"r", "w"}, f"{path}: {line}"
                assert head, f"{path}: {line}"
                assert (head, rest) not in seen, f"{path}: {head} {line}"
                seen.add((head, rest))


def test_lineage_is_that_of_the_classes(review) -> None:
    """What inherits a table inherits what was judged of it."""
    for exchange in ccxt.exchanges:
        assert reviews.lineage(exchange)[1:2] == ((review.parent(exchange),) if review.parent(exchange) else ())


@pytest.mark.parametrize("module", [ccxt, ccxt.async_support, ccxt.pro])
def test_a_derived_class_is_what_it_derives_from(module) -> None:
    """Under whatever name and id somebody made one, and with his own endpoints beside."""

    class MyBinance(module.binanceusdm):
        def describe(self):
            return self.deep_extend(super().describe(), {"id": "mine", "api": {"fapiPrivate": {"get": {"mine": 1}}}})

    assert reviews.ccxt_id(MyBinance) == "binanceusdm"
    assert reviews.ccxt_id(type("Mine", (MyBinance,), {})) == "binanceusdm"
    assert not endpoints.is_write("GET fapiPrivate/openOrders", exchange=reviews.ccxt_id(MyBinance))
    assert endpoints.is_write("GET fapiPrivate/mine", exchange=reviews.ccxt_id(MyBinance))


def test_a_class_of_nobodys_has_its_own_name() -> None:
    """Of which nothing was judged."""
    mine = type("Mine", (ccxt.Exchange,), {})
    assert reviews.ccxt_id(mine) == "Exchange"
    assert reviews.endpoint_effects("Exchange") == {}


def test_one_exchange_is_loaded_quickly() -> None:
    """The largest file in less than 5 ms, in the best of some runs."""
    taken = []
    for _ in range(30):
        for cached in (reviews._reviewed, reviews.lineage, reviews.endpoint_effects):
            cached.cache_clear()
        begin = time.perf_counter()
        assert len(reviews.endpoint_effects("binance")) > 500
        taken.append(time.perf_counter() - begin)
    assert min(taken) < 0.005


def sent_by(kind: type) -> dict[str, set[str]]:
    """Return by method the labels of the implicit methods that an exchange class names in it."""
    known = {}
    for base in kind.__mro__:
        for name, member in vars(base).items():
            if hasattr(member, "unbound_method"):
                label = endpoints.label(member.path, member.api, member.method)
                known[name.replace("_", "").lower()] = label
    functions = {name: member for name, member in vars(kind).items() if inspect.isfunction(member)}
    named = {
        name: {part.replace("_", "").lower() for part in found.__code__.co_names} for name, found in functions.items()
    }
    return {name: {known[part] for part in parts & known.keys()} for name, parts in named.items()}


MAKES_ON_REQUEST = {"fetch_deposit_address", "fetch_convert_quote"}
"""Reads which at some exchanges make what they return, by an endpoint that is a write; the client repeats none."""


@pytest.mark.parametrize("module", [ccxt, ccxt.pro])
def test_reading_methods_send_reads(module) -> None:
    """So that both reviews agree: no method that is retried sends a change, but for two that the client knows."""
    wrong = {
        (exchange, method, label)
        for exchange in module.exchanges
        for method, labels in sent_by(getattr(module, exchange)).items()
        if endpoints.unified(method) and not endpoints.writes(method) and method not in MAKES_ON_REQUEST
        for label in labels
        if endpoints.is_write(label, exchange=exchange)
    }
    assert not wrong


def test_changing_methods_send_writes() -> None:
    """So that both reviews agree: each that sends by itself has a request whose fate matters."""
    built = {("bitstamp", "withdraw")}  # it builds names such as `privatePostBtcWithdrawal`, all of which are writes
    wrong = {
        (exchange, method)
        for exchange in ccxt.exchanges
        for method, labels in sent_by(getattr(ccxt, exchange)).items()
        if endpoints.writes(method)
        and labels
        and not any(endpoints.is_write(label, exchange=exchange) for label in labels)
    }
    assert wrong == built
