"""State is captured, written, read, and handed back."""

import json
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from peak_observe.backup_recovery.repository.metadata import Problem
from peak_observe.backup_recovery.state.snapshot import StateSnapshot, decode, encode
from peak_observe.testing import ManualClock


def fail() -> object:
    """Do what a provider should not."""
    raise ConnectionError("GET https://api.example/balance?signature=hunter2 failed")


def snapshot(**providers: object) -> StateSnapshot:
    """Return a snapshot whose providers return these values, under a clock that stands still."""
    made = StateSnapshot(clock=ManualClock())
    for name, value in providers.items():
        made.register_provider(name, lambda value=value: value)
    return made


def test_what_providers_return_is_captured() -> None:
    """Under their names, with the time in UTC."""
    state = snapshot(trading={"active_positions": 5, "total_pnl": Decimal("1250.50")}, empty=None).capture()
    assert state == {
        "timestamp": "2026-01-01T00:00:00+00:00",
        "providers": {"trading": {"active_positions": 5, "total_pnl": Decimal("1250.50")}, "empty": None},
    }


def test_the_machines_clock_is_asked_by_default() -> None:
    """The timestamp is aware and now."""
    taken = datetime.fromisoformat(StateSnapshot().capture()["timestamp"])
    assert abs((datetime.now(UTC) - taken).total_seconds()) < 60


def test_a_provider_that_raises_is_named() -> None:
    """The others are captured all the same, and the message holds no secret."""
    made = snapshot(good=1)
    made.register_provider("bad", fail)
    reason = "ConnectionError: GET https://api.example/balance failed"
    state, problems = made.take()
    assert state["providers"] == {"good": 1, "bad": {"error": reason}}
    assert problems == [Problem("state provider 'bad'", reason)]
    assert made.capture() == state


def test_what_json_cannot_hold_is_named_with_its_place() -> None:
    """The provider's value is the reason."""
    state, [problem] = snapshot(bot={"worker": threading.Lock()}).take()
    assert state["providers"]["bot"] == {"error": problem.reason}
    assert problem.reason.startswith("ValueError: value['worker'] is a _thread.")


def test_what_cannot_come_back_is_a_problem_when_it_is_taken() -> None:
    """And not on the day of the restore."""
    _, [problem] = snapshot(bot={1: "a", Broken(): "b"}).take()
    assert problem.reason == "ValueError: two keys of a dict come back as the same"


class Broken:
    """A key whose `item` is one that is there already."""

    def item(self) -> int:
        """Return a plain number, as a numpy scalar would."""
        return 1


def test_a_state_may_hold_itself_or_a_bomb() -> None:
    """Each becomes a problem; nothing overflows."""
    circle: list[object] = []
    circle.append(circle)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    state, problems = snapshot(circle=circle, deep=deep, good=1).take()
    assert [problem.what for problem in problems] == ["state provider 'circle'", "state provider 'deep'"]
    assert state["providers"]["good"] == 1
    while deep:  # by hand, as Python itself would go down all the way to free it
        deep = deep.pop()


def test_a_captured_state_stands_still() -> None:
    """The program goes on and changes its own objects only."""
    orders = [1]
    state = snapshot(orders=orders).capture()
    orders.append(2)
    assert state["providers"]["orders"] == [1]


def test_a_name_given_twice_is_the_later_one() -> None:
    """With its own restore function, or with none."""
    given = []
    made = StateSnapshot()
    made.register_provider("a", lambda: 1, restore=given.append)
    made.register_provider("a", lambda: 2)
    assert made.capture()["providers"] == {"a": 2}
    assert list(made._state_providers) == ["a"]
    assert made.apply(made.capture()) == []
    assert given == []


def test_providers_can_be_registered_while_others_run() -> None:
    """A provider that registers another one neither breaks the capture nor waits for itself."""
    made = StateSnapshot()
    made.register_provider("a", lambda: made.register_provider("b", lambda: 2))
    assert made.capture()["providers"] == {"a": None}
    assert made.capture()["providers"] == {"a": None, "b": 2}


ARGUMENTS = [
    ("", lambda: 1, None, "name"),
    (5, lambda: 1, None, "name"),
    ("\ud83d\ude00", lambda: 1, None, "name"),
    ("a", None, None, "provider_func"),
    ("a", {"x": 1}, None, "provider_func"),
    ("a", lambda: 1, "no function", "restore"),
]


@pytest.mark.parametrize(("name", "provider", "restore", "argument"), ARGUMENTS)
def test_nonsense_is_refused(name: object, provider: object, restore: object, argument: str) -> None:
    """One ValueError names the argument."""
    with pytest.raises(ValueError, match=rf"^{argument} must "):
        StateSnapshot().register_provider(name, provider, restore=restore)


def test_a_saved_state_is_read_back(tmp_path: Path) -> None:
    """The folders are made, nothing else stays in them, and the types are the same."""
    made = snapshot(trading={"at": datetime(2026, 1, 1, tzinfo=UTC), 1: {Decimal("0.1")}})
    path = tmp_path / "new" / "folders" / "state.json"
    made.save(str(path))
    assert made.load(str(path)) == made.capture()
    assert list(path.parent.iterdir()) == [path]


def test_saving_again_replaces(tmp_path: Path) -> None:
    """The later state is the whole file."""
    snapshot(a="x" * 1000).save(tmp_path / "state.json")
    made = snapshot(b=1)
    made.save(tmp_path / "state.json")
    assert made.load(tmp_path / "state.json")["providers"] == {"b": 1}


def test_many_threads_save_to_one_path(tmp_path: Path) -> None:
    """Each file that can be seen is whole, and no leftovers stay."""
    path = tmp_path / "state.json"
    made = snapshot(a=list(range(1000)))
    threads = [threading.Thread(target=lambda: [made.save(path) for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.load(path) == made.capture()
    assert list(tmp_path.iterdir()) == [tmp_path / "state.json"]


def test_a_path_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """The error is the system's own."""
    (tmp_path / "state.json").mkdir()
    with pytest.raises(OSError):
        snapshot(a=1).save(tmp_path / "state.json")
    assert list(tmp_path.iterdir()) == [tmp_path / "state.json"]


def test_the_text_can_be_read_by_a_person() -> None:
    """Indented, in UTF-8, with plain values as they are."""
    assert (
        encode(snapshot(bot={"name": "Grüße", "size": Decimal("1.10")}).capture()).decode()
        == """{
  "format": 1,
  "timestamp": "2026-01-01T00:00:00+00:00",
  "providers": {
    "bot": {
      "name": "Grüße",
      "size": {
        "$type": "decimal",
        "value": "1.10"
      }
    }
  }
}
"""
    )


def test_a_lone_surrogate_is_written_and_read() -> None:
    """In a value, in a key, in a provider's name, and in the message of an error."""
    made = snapshot(**{"bad \ud800": {"\udfff": "file\udcff.csv"}})
    state, problems = made.take()
    assert decode(encode(state)) == state
    assert problems == []
    pairs = snapshot(bot=["\ud83d\ude00", {"\ud83d\ude00": "\U0001f600"}, "\\ud83d\\ude00"]).capture()
    assert decode(encode(pairs)) == pairs
    made.register_provider("\ud800", lambda: Path("\udcff").read_bytes() or {}["\udcff"])
    state, [problem] = made.take()
    assert decode(encode(state)) == state
    assert problem.what.encode() == rb"state provider '\ud800'"
    assert problem.reason.encode()


def test_a_state_of_the_original_code_base_is_taken_as_it_is() -> None:
    """Also where its values look like ours, or are no JSON by the letter."""
    providers = {"a": {"$type": "decimal", "value": "1"}, "b": {"$type": 1}, "c": {"error": "x"}}
    text = json.dumps({"timestamp": "2024-12-01T10:00:00.000000", "providers": providers})
    assert decode(text.encode()) == json.loads(text)
    assert decode(b'{"providers": {"pnl": Infinity}}')["providers"]["pnl"] == float("inf")


BROKEN = [
    (b"", "no JSON"),
    (b'{"providers": {', "no JSON"),
    (b"\xff\xfe\xff", "no JSON"),
    (b"[" * 200_000, "no JSON"),
    (b"[]", "no object 'providers'"),
    (b"{}", "no object 'providers'"),
    (b'{"providers": []}', "no object 'providers'"),
    (b'{"format": 2, "providers": {}}', "format 2; this version reads 1"),
    (b'{"format": 1, "providers": {"a": {"$type": "quaternion"}}}', "provider 'a' cannot be read back"),
    (b'{"format": 1, "providers": {"a": {"$type": "date", "value": "x"}}}', "provider 'a' cannot be read back"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=lambda value: str(value)[:30])
def test_a_damaged_text_is_one_clear_error(tmp_path: Path, text: bytes, message: str) -> None:
    """A ValueError that tells the file and what is wrong."""
    path = tmp_path / "state.json"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=message) as caught:
        StateSnapshot().load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_values_are_handed_back() -> None:
    """As they were, to those that can take them; the rest is left alone."""
    given = {}
    made = StateSnapshot()
    made.register_provider("orders", lambda: (Decimal("1.1"),), restore=lambda value: given.update(orders=value))
    made.register_provider("reported", lambda: 1)
    state = decode(encode(made.capture()))
    made.register_provider("new", lambda: 1, restore=lambda value: given.update(new=value))
    assert made.apply(state) == []
    assert given == {"orders": (Decimal("1.1"),)}


def test_a_restore_that_raises_is_named_and_the_others_run() -> None:
    """One provider's fault is not the others'."""
    given = []
    made = StateSnapshot()
    made.register_provider("bad", lambda: 1, restore=lambda _: fail())
    made.register_provider("good", lambda: 2, restore=given.append)
    [problem] = made.apply(made.capture())
    assert str(problem).startswith("state provider 'bad': ConnectionError: GET")
    assert given == [2]


def test_an_error_is_never_restored() -> None:
    """What was not captured would overwrite good state with a message."""
    given = []
    made = StateSnapshot()
    made.register_provider("bad", fail, restore=given.append)
    [problem] = made.apply(made.capture())
    assert problem.reason.startswith("it was not captured: ConnectionError")
    assert given == []


def test_a_value_that_looks_like_an_error_is_restored() -> None:
    """A provider may tell of an error of its exchange; what it said is its state."""
    given = []
    made = StateSnapshot()
    made.register_provider("bot", lambda: {"error": "exchange offline"}, restore=given.append)
    made.register_provider("bad", fail, restore=given.append)
    state = made.capture()
    for found in (state, decode(encode(state)), decode(encode(decode(encode(state))))):
        assert [problem.what for problem in made.apply(found)] == ["state provider 'bad'"]
        assert given.pop() == {"error": "exchange offline"}
        assert given == []


@pytest.mark.parametrize("head", ['"format": 1, ', ""])
def test_an_error_in_an_earlier_state_is_one(head: str) -> None:
    """Earlier versions wrote such a value of a provider in the same way, so it is not handed back."""
    made = StateSnapshot()
    made.register_provider("bad", fail, restore=fail)
    [problem] = made.apply(decode(f'{{{head}"providers": {{"bad": {{"error": "gone"}}}}}}'.encode()))
    assert problem.reason == "it was not captured: gone"


def test_a_value_with_an_error_among_others_is_restored() -> None:
    """Only what is nothing but an error's text is one."""
    given = []
    made = StateSnapshot()
    values = iter([{"error": "x", "orders": 1}, {"error": None}])
    made.register_provider("a", lambda: next(values), restore=given.append)
    assert made.apply(made.capture()) + made.apply(made.capture()) == []
    assert given == [{"error": "x", "orders": 1}, {"error": None}]
