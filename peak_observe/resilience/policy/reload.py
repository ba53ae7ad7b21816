"""Reload of a policy from its file while the program runs: all of a new file is taken over, or nothing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet, ref

from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.errors import ConfigError
from peak_observe.events import PolicyReloaded
from peak_observe.measures import RELOADS, ReloadReading
from peak_observe.measures.forks import renew
from peak_observe.observers import emit
from peak_observe.resilience.breaker.breaker import CircuitBreaker
from peak_observe.resilience.breaker.settings import Settings
from peak_observe.resilience.common import strategy, wrapping
from peak_observe.resilience.common.fallback import NO_FALLBACK
from peak_observe.resilience.limits import Bulkhead, RateLimiter
from peak_observe.resilience.policy.config import build_policy, load_table
from peak_observe.resilience.policy.file_watcher import WATCHER, Signature, WatchedFile, signature
from peak_observe.resilience.policy.layers import Layer, Layers, Stack
from peak_observe.support.redact import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike

P = TypeVar("P")

FIXED = ("name", "buckets", "tracing", "fallback")
"""Arguments of a circuit breaker, a bulkhead or a rate limit that cannot change while it is in use."""


class Slot:
    """A decorated function, and what protects it at present.

    Args:
        func: The function.
        target: What is called instead.
    """

    def __init__(self, func: Callable[..., Any], target: Callable[..., Any]) -> None:
        self.func = func
        self.target = target
        self.wrapper: ref[Any] | None = None

    def wrap(self) -> Callable[..., Any]:
        """Return the function that calls the target of the moment; it is of the same kind."""

        def call(*args: Any, **kwargs: Any) -> Any:
            return self.target(*args, **kwargs)

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            return await self.target(*args, **kwargs)

        kind = wrapping.kind(self.func)
        wrapper: Callable[..., Any] = call
        if kind == wrapping.COROUTINE:
            wrapper = coroutine
        elif kind == wrapping.GENERATOR:
            wrapper = wrapping.wrap_generator(call, nullcontext)
        elif kind == wrapping.ASYNC_GENERATOR:
            wrapper = wrapping.wrap_async_generator(call, nullcontext)
        update_wrapper(wrapper, self.target)
        vars(wrapper).update(__wrapped__=self.func, _peak_slot=self)
        self.wrapper = ref(wrapper)
        return wrapper

    def switch(self, target: Callable[..., Any]) -> None:
        """Call another target from now on; its attributes, such as `retry`, become those of the wrapper."""
        gone = set(getattr(self.target, "__dict__", ())) - set(getattr(target, "__dict__", ()))
        self.target = target
        wrapper = self.wrapper and self.wrapper()
        if wrapper is not None:
            for key in gone:
                vars(wrapper).pop(key, None)
            vars(wrapper).update(getattr(target, "__dict__", {}), __wrapped__=self.func)


class ReloadController:
    """Takes the changes of a policy's file over, and counts whether that works.

    Args:
        name: The policy's name, for the metrics.
        path: The file.
        where: The name of the policy's table.
        load: Returns the table of the policy, and what is made of it.
        stack: The layers at present, and the fallback.
        table: The table they were made of.
    """

    def __init__(
        self,
        *,
        name: str,
        path: str,
        where: str,
        load: Callable[[], tuple[Mapping[str, Any], Stack]],
        stack: Stack,
        table: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.stack = stack
        self.inside = False
        """Whether it is part of another policy, which is the one that may have a fallback."""
        self._path = path
        self._load = load
        self._where = where
        self._table = table
        self._slots: WeakSet[Slot] = WeakSet()
        self._success = True
        self._last_success = SYSTEM_CLOCK.now().timestamp()
        self._lock = threading.RLock()
        renew(self)

    def wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` protected by the layers of the moment, whichever these are."""
        with self._lock:
            slot = Slot(func, self.stack.protect(func))
            self._slots.add(slot)
        return slot.wrap()

    def reload(self) -> bool:
        """Take the file over; return whether anything changed.

        Raises:
            ConfigError: It makes no sense, or asks for what cannot change; nothing is changed then.
        """
        with self._lock:
            self._success, recovered = False, not self._success
            table, stack = self._load()
            changed = _changed(self._table, table)
            if changed:
                self._adopt(stack)
                self._table = table
            self._success, self._last_success = True, SYSTEM_CLOCK.now().timestamp()
        if changed or recovered:
            emit(PolicyReloaded(self.name, self._path, success=True, message=changed or "nothing changed"))
        return bool(changed)

    def follow(self) -> None:
        """Take the file over after a change of it; a fault is told and the policy stays as it is."""
        try:
            self.reload()
        except Exception as error:  # noqa: BLE001 - a module that the file names may raise anything at its import
            message = str(error) if isinstance(error, ConfigError) else f"{self._path}: {describe(error)}"
            emit(PolicyReloaded(self.name, self._path, success=False, message=message))

    def _adopt(self, new: Stack) -> None:
        """Put new layers in the place of the old ones; what has a state keeps it and takes the settings over."""
        old = {layer.kind: layer for layer in self.stack.layers}
        kept = {layer.kind: old[layer.kind] for layer in new.layers if _has_state(old.get(layer.kind))}
        try:
            self._check(new, kept)
            future = new._replace(layers=Layers(kept.get(layer.kind, layer) for layer in new.layers))
            targets = [(slot, future.protect(slot.func)) for slot in self._slots]
        except (TypeError, ValueError) as error:
            raise ConfigError(self._path, self._where, str(error)) from None
        # Nothing below can fail: all values were checked when the new parts were made.
        for layer in new.layers:
            if layer.kind in kept:
                _take_over(kept[layer.kind], layer)
        self.stack = future
        for slot, target in targets:
            slot.switch(target)

    def _check(self, new: Stack, kept: Mapping[str, Layer]) -> None:
        if self.inside and new.fallback is not NO_FALLBACK:
            raise ValueError("fallback belongs to the outer policy, and this one is part of another")
        for layer in new.layers:
            if layer.kind in kept:
                _check_change(kept[layer.kind], layer)

    def read(self) -> ReloadReading:
        """Return whether the last reload succeeded, and when the last one that did was."""
        reading = ReloadReading()
        reading.success, reading.last_success = self._success, self._last_success
        return reading

    def after_fork(self) -> None:
        """Make the lock anew: the watcher's thread may have held it."""
        self._lock = threading.RLock()


class Watch:
    """Watch of a policy's file; it ends when it is closed, or when nobody holds it any more.

    Args:
        controller: What takes changes over.
        path: The file.
        seen: How the file was when the policy was made of it.
    """

    def __init__(self, controller: ReloadController, path: str, seen: Signature | None) -> None:
        self._controller = controller
        self._file = WatchedFile(path, controller.follow, seen)
        self.reload = controller.reload
        RELOADS.series(controller.name).join(self, controller.read)
        WATCHER.add(self._file)

    @property
    def stack(self) -> Stack:
        """The layers of the moment, and the fallback."""
        return self._controller.stack

    def as_layer(self, policy: Any) -> Layer:
        """Return the policy as one layer of another one, so that its changes reach those around it."""
        self._controller.inside = True
        return Layer("policy", policy, settings={"name": policy.name})

    def wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` protected by the layers of the moment; the function keeps the watch alive."""
        wrapper = self._controller.wrap(func)
        vars(wrapper)["_peak_watch"] = self
        return wrapper

    def close(self) -> None:
        """End the watch."""
        WATCHER.remove(self._file)


def watch_policy(cls: Callable[..., P], path: str | PathLike[str], name: str) -> P:
    """Return the policy of the table `[policies.<name>]` of a TOML file, which follows the file from now on.

    Raises:
        ConfigError: The file, or something in it, makes no sense.
    """
    file, where = str(Path(path).absolute()), f"policies.{name}"
    seen = signature(file)

    def load() -> tuple[Mapping[str, Any], Any]:
        table = load_table(file, name)
        return table, build_policy(cls, table, name, file, where)

    table, policy = load()

    def load_stack() -> tuple[Mapping[str, Any], Stack]:
        table, made = load()
        if made.name != known:
            raise ConfigError(file, f"{where}.name", "it cannot change while the program runs: restart it")
        stack: Stack = made._stack  # noqa: SLF001 - it was made here
        return table, stack

    known = policy.name
    controller = ReloadController(
        name=known,
        path=file,
        where=where,
        load=load_stack,
        stack=policy._stack,  # noqa: SLF001 - as above
        table=table,
    )
    policy._watch = Watch(controller, file, seen)  # noqa: SLF001 - it was made here
    made: P = policy
    return made


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the keys of a table that differ, in words."""
    return ", ".join(key for key in {**old, **new} if old.get(key) != new.get(key))


def _state_of(layer: Layer) -> Any:
    """Return the circuit, bulkhead or rate limit of a layer, if it is in use."""
    return layer.shared if layer.kind == strategy.BREAKER else layer.part


def _has_state(layer: Layer | None) -> bool:
    return layer is not None and isinstance(_state_of(layer), CircuitBreaker | Bulkhead | RateLimiter)


def _check_change(old: Layer, new: Layer) -> None:
    """Raise ValueError for a change of what cannot change while it is in use."""
    for key in FIXED:
        if old.part.given.get(key) != new.part.given.get(key):
            raise ValueError(f"{new.kind}.{key} cannot change while the program runs: restart it")
    limits = [layer.part.settings["limit"] for layer in (old, new) if layer.kind == strategy.RATE_LIMIT]
    if limits and isinstance(limits[0], Sequence) != isinstance(limits[1], Sequence):
        raise ValueError("rate_limit.limit cannot change between a number and windows while the program runs")


def _take_over(old: Layer, new: Layer) -> None:
    """Change the settings of a circuit, bulkhead or rate limit, whose state stays."""
    kept, given = _state_of(old), new.part.given
    if isinstance(kept, CircuitBreaker):
        fields = {key: value for key, value in given.items() if key in Settings._fields}
        kept.configure(**Settings(**fields)._asdict())
    else:
        kept.adopt(new.part)
    old.part.given = given
