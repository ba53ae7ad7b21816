"""Ctrl-C at any moment of a retried call leaves no lock held."""

import dis
import gc
import sys
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import cache
from pathlib import Path
from types import CodeType, FrameType

import pytest

import peak_observe
from peak_observe import RetryBudget, observers, retry_with_backoff
from peak_observe.measures import RETRIES
from peak_observe.resilience.retry.decorator import Retry
from peak_observe.testing import ManualClock

PACKAGE = Path(peak_observe.__file__).parent
OURS = (str(PACKAGE / "resilience"), str(PACKAGE / "measures"))

# The interpreter looks for signals when a function begins, when a call has returned, and when it jumps back. What it
# raises then belongs to that instruction, so the next one stands for it where both have the same handler; between two
# other instructions, such as the release of a lock and the end of its block, no Ctrl-C can come.
AFTER = tuple(name for name in dis.opname if name.startswith(("CALL", "RESUME", "JUMP_BACKWARD", "SEND")))


@cache
def handlers(code: CodeType) -> dict[int, int]:
    """Return where an exception goes, by the offset of the instruction that raises it."""
    entries = dis.Bytecode(code).exception_entries
    return {offset: entry.target for entry in entries for offset in range(entry.start, entry.end)}


class Interrupter:
    """Raises KeyboardInterrupt at one of the moments at which a signal can arrive within our own code."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.moments = 0
        self._before: dict[int, int] = {}

    def __call__(self, frame: FrameType, event: str, arg: object) -> object:
        """Follow the frames of resilience and measures, which hold all locks of a call."""
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        self._before[id(frame)] = -1
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._step

    def _step(self, frame: FrameType, event: str, arg: object) -> object:
        if event == "opcode":
            before, self._before[id(frame)] = self._before[id(frame)], frame.f_lasti
            if self._may_come(frame.f_code, before, frame.f_lasti):
                self.moments += 1
                if self.moments == self.at:
                    sys.settrace(None)
                    raise KeyboardInterrupt
        return self._step

    @staticmethod
    def _may_come(code: CodeType, before: int, now: int) -> bool:
        if before < 0:
            return False
        where = handlers(code)
        return dis.opname[code.co_code[before]] in AFTER and where.get(before) == where.get(now)


def fail() -> None:
    """Fail."""
    raise ConnectionError


async def fail_later() -> None:
    """Fail."""
    raise ConnectionError


class Quick(ManualClock):
    """Sleeps without an event loop, which would handle Ctrl-C in a way of its own."""

    async def async_sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.sleep(seconds)


def run(coroutine: Coroutine) -> None:
    """Run a coroutine that never waits."""
    coroutine.send(None)


def interrupted_at(moment: int, use: Callable[[], object]) -> bool:
    """Return whether a call that fails in the end was interrupted at its moment of this number."""
    previous = sys.gettrace()
    gc.disable()  # a Ctrl-C in what a collection finalizes is swallowed by Python, and would end the count too soon
    try:
        sys.settrace(Interrupter(moment))
        copy_context().run(use)
    except KeyboardInterrupt:
        return True
    except ConnectionError:
        return False
    finally:
        sys.settrace(previous)
        gc.enable()
    raise AssertionError("it did not fail")


OPTIONS = {"simple": {}, "careful": {"timeout": 10**9, "retry_result": bool}}


# Between the making of a coroutine and its await a Ctrl-C leaves it unawaited, here as anywhere.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("func", "options"), [(fail, "simple"), (fail, "careful"), (fail_later, "careful")])
def test_ctrl_c_at_any_moment_leaves_no_lock_held(
    func: Callable, options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through failures, delay, budget, events, note and the last attempt: each moment once."""
    clock, controllers, create = Quick(), [], Retry.__init__
    monkeypatch.setattr(
        Retry,
        "__init__",
        lambda self, controller, tracing: (controllers.append(controller), create(self, controller, tracing))[1],
    )
    monkeypatch.setattr(observers.EVERYBODY, "_known", ())
    budget = RetryBudget(burst=10**6, name="interrupts", clock=clock)
    name = f"interrupts.{func.__name__}.{options}"
    protected = retry_with_backoff(2, budget=budget, clock=clock, name=name, jitter="full", **OPTIONS[options])(func)
    locks = [controllers[0].lock, controllers[0].series._lock, budget._account._lock]
    use = protected if func is fail else lambda: run(protected())
    assert not interrupted_at(0, use)  # Python 3.12 traces instructions only after somebody has asked for it once
    at = interrupted = 0
    while interrupted == at:
        at += 1
        interrupted += interrupted_at(at, use)
        assert not any(lock.locked() for lock in locks)
    assert interrupted > 100
    told = RETRIES.get(name).read()
    assert sum(told.calls) <= at + 1
    assert sum(told.calls[2:3]) >= 2
