"""State snapshot of a running program: the values of its providers, as text and back.

Values of many types come back as they were; `encoding.py` holds the table.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from peak_observe.backup_recovery.repository.metadata import Problem
from peak_observe.backup_recovery.state.encoding import plain, revive, tagged_dict
from peak_observe.backup_recovery.state.providers import TIME_LIMIT, Answer, ProviderCall, inside
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.measures import forks
from peak_observe.support.atomic_files import replace_text
from peak_observe.support.keywords import check_keywords
from peak_observe.support.redact import describe
from peak_observe.support.shown import shown

FORMAT = 1
"""Stands in every text we write; one without it is of the original code base and is taken as it is."""


class Captured(NamedTuple):
    """Captured state.

    Args:
        state: `timestamp` and, under `providers`, each provider's value.
        problems: The providers that failed.
    """

    state: dict[str, Any]
    problems: list[Problem]


class NotCaptured(dict[str, Any]):
    """Stands in a state, as `{"error": why}`, for the value of a provider that failed; a value of that form is none."""


class StateSnapshot:
    """Registry of state providers: captures their values, and hands them back to those that can restore them.

    Args:
        clock: Where the timestamp comes from.
    """

    @check_keywords()
    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = forks.RenewedLock(threading.RLock)  # a handler of a signal may save the state too
        self._state_providers: dict[str, Callable[[], Any]] = {}
        self._timeouts: dict[str, float] = {}
        self._restores: dict[str, Callable[[Any], Any]] = {}
        self._calls: dict[str, ProviderCall] = {}

    def register_provider(
        self,
        name: str,
        provider_func: Callable[[], Any],
        *,
        restore: Callable[[Any], Any] | None = None,
        timeout: float = TIME_LIMIT,
    ) -> None:
        """Have `provider_func` called at each capture; an earlier provider of that name is replaced.

        Args:
            name: The key of its value.
            provider_func: Returns the value; may be a coroutine function, which is awaited in an event loop of its own.
            restore: Takes the value when a backup is restored.
            timeout: Seconds that `provider_func` may take; one that takes longer fails, and is left to itself.

        Raises:
            ValueError: An argument makes no sense.
        """
        if not isinstance(name, str) or not name:
            raise ValueError(f"name must be a string that is not empty, not {shown(name)}")
        if plain(name) != name:
            raise ValueError(f"name must not hold a pair of lone surrogates, of which JSON makes one: {shown(name)}")
        for argument, given in (("provider_func", provider_func), ("restore", restore)):
            if not callable(given) and (given, argument) != (None, "restore"):
                raise ValueError(f"{argument} must be a function, not {shown(given)}")
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < threading.TIMEOUT_MAX:
            raise ValueError(f"timeout must be a number of seconds above 0, not {timeout!r}")
        with self._lock:
            self._state_providers[name] = provider_func
            self._timeouts[name] = timeout
            self._restores.pop(name, None)
            self._calls.pop(name, None)
            if restore is not None:
                self._restores[name] = restore

    def capture(self) -> dict[str, Any]:
        """Return `timestamp` and, under `providers`, each provider's value as it would come back from a file.

        A provider that raises, or returns what JSON cannot hold, has `{"error": why}` for its value.
        """
        return self.take()[0]

    def take(self) -> Captured:
        """Return what `capture` does, and the providers that failed."""
        with self._lock:
            providers = [(name, given, self._timeouts.get(name)) for name, given in self._state_providers.items()]
        found: dict[str, Any] = {}
        problems = []
        timestamp = self._clock.now().isoformat()
        for name, provider, timeout in providers:
            found[name], error = self._answer(name, provider, timeout or TIME_LIMIT)
            if error is not None:  # one provider's fault is not the others'
                problems.append(_problem(name, describe(error)))
                found[name] = NotCaptured(error=problems[-1].reason)
        return Captured({"timestamp": timestamp, "providers": found}, problems)

    def _answer(self, name: str, provider: Callable[[], Any], timeout: float) -> Answer:
        # There and back, so that what is written is known to be readable and does not change any more.
        call = ProviderCall(provider, timeout, lambda value: revive(plain(value)))
        while (before := self._started(name, call)) is not call:
            if inside() or before.hangs():  # calls that never end must not pile up
                return Answer(error=TimeoutError("it was not called, as its last call has not come back yet"))
        return call.answer()

    def _started(self, name: str, call: ProviderCall) -> ProviderCall:
        """Start a call, unless one of the same provider is under way, and return the one that is."""
        with self._lock:
            before = self._calls.get(name)
            if before is not None and before.under_way:
                return before
            self._calls[name] = call
            call.start()
            return call

    def takes_back(self) -> bool:
        """Return whether any provider can take its state back."""
        return bool(self._restores)

    def nobody_takes(self, state: dict[str, Any] | None) -> tuple[str, ...]:
        """Return the providers of a state that have no `restore` function here."""
        with self._lock:
            return tuple(name for name in state["providers"] if name not in self._restores) if state else ()

    def apply(self, state: dict[str, Any]) -> list[Problem]:
        """Hand each value to the `restore` function of its provider and return what went wrong.

        The value of a provider that failed was not captured; it is a problem and not handed to anybody.
        """
        with self._lock:
            restores = dict(self._restores)
        values = state["providers"]
        tried = ((name, _restored(restore, values[name])) for name, restore in restores.items() if name in values)
        return [_problem(name, reason) for name, reason in tried if reason]

    def save(self, path: Path | str) -> None:
        """Capture and write to `path`, so that it holds the old state or the new one whatever happens meanwhile.

        Raises:
            OSError: It cannot be written.
        """
        replace_text(Path(path), encode(self.capture()).decode(), durable=True, private=True)

    def load(self, path: Path | str) -> dict[str, Any]:
        """Return the state that `save` wrote to `path`.

        Raises:
            OSError: It cannot be read.
            ValueError: It holds no state; the message says why.
        """
        try:
            return decode(Path(path).read_bytes())
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def encode(state: dict[str, Any]) -> bytes:
    """Return the text of a captured state.

    Raises:
        ValueError: Something in it has no form in JSON.
    """
    providers = {name: _written(value) for name, value in state["providers"].items()}
    text = json.dumps({"format": FORMAT, **state, "providers": providers}, indent=2, ensure_ascii=False)
    # In JSON a backslash and the code are how to write a lone surrogate, which UTF-8 cannot.
    return text.encode(errors="backslashreplace") + b"\n"


def _written(value: Any) -> Any:
    """Return a value as JSON; one that looks as if its provider had failed is written as a dict of any keys is."""
    found = plain(value)
    return tagged_dict(found) if _tells_an_error(found) and not isinstance(value, NotCaptured) else found


def _tells_an_error(value: Any) -> bool:
    match value:
        case {"error": str(), **others}:
            return not others
    return False


def decode(text: bytes) -> dict[str, Any]:
    """Return the state that `encode` or the original code base wrote.

    Raises:
        ValueError: It is no such text; the message says why.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the state is no JSON: {describe(error)}") from error
    match found:
        case {"providers": dict()}:
            return _current(found)
    raise ValueError("the state holds no object 'providers'")


def _current(found: dict[str, Any]) -> dict[str, Any]:
    """Return what a text of any known format holds."""
    version = found.pop("format", None)
    if version is None:
        found["providers"] = {name: _marked(value, value) for name, value in found["providers"].items()}
        return found
    if version != FORMAT:
        raise ValueError(f"the state has format {version!r}; this version reads {FORMAT}, a newer one may read it")
    found["providers"] = {name: _revived(name, value) for name, value in found["providers"].items()}
    return found


def _revived(name: str, value: Any) -> Any:
    try:
        return _marked(value, revive(value))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the value of state provider '{name}' cannot be read back: {describe(error)}") from error


def _marked(written: Any, value: Any) -> Any:
    """Return a value, marked if it was written as that of a provider that failed."""
    return NotCaptured(value) if _tells_an_error(written) else value


def _restored(restore: Callable[[Any], Any], value: Any) -> str:
    """Return why a value was not restored; nothing if it was."""
    if isinstance(value, NotCaptured):
        return f"it was not captured: {value['error']}"
    try:
        restore(value)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - as with providers: the others are restored all the same, and told of
        return describe(error)
    return ""


def _problem(name: str, reason: str) -> Problem:
    """Return a problem that metadata.json can hold, also where a lone surrogate is in it."""
    what, why = (text.encode(errors="backslashreplace").decode() for text in (f"state provider '{name}'", reason))
    return Problem(what, why)
