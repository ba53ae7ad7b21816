"""Calls of `with breaker:` blocks: they nest, run side by side, and may end in another context than they began in."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    from peak_observe.resilience.breaker.guarded_call import GuardedCall


class _Block:
    """One entered block.

    Args:
        owner: The blocks of its breaker.
        call: Its call.
        generator: The frame of the generator that has the block, if one has.
    """

    __slots__ = ("call", "generator", "live", "owner")

    def __init__(self, owner: Blocks, call: GuardedCall, generator: FrameType | None) -> None:
        self.owner = owner
        self.call = call
        self.generator = generator
        self.live = True


# The blocks that this thread or task is inside of, the innermost last.
_entered: ContextVar[tuple[_Block, ...]] = ContextVar("peak_observe_entered", default=())


class Blocks:
    """The blocks of one breaker that were entered and not left."""

    __slots__ = ("_generators", "_open")

    def __init__(self) -> None:
        self._open: dict[_Block, None] = {}
        self._generators: dict[FrameType, list[_Block]] = {}

    def begin(self, call: GuardedCall, generator: FrameType | None) -> None:
        """Note the call of a block that is entered."""
        block = _Block(self, call, generator)
        try:
            self._open[block] = None
            if generator is not None:
                self._generators.setdefault(generator, []).append(block)
            _entered.set((*(one for one in _entered.get() if one.live), block))
        except BaseException:  # Ctrl-C: the call goes with its last reference, and its permit with it
            self._remove(block)
            raise

    def end(self, generator: FrameType | None) -> GuardedCall:
        """Return the call of the block that is left.

        It is the newest of the generator that has the block, which may be run by one context after the other; else the
        newest of this thread or task; else, where somebody leaves it in another one, the newest of all.
        """
        own = self._generators.get(generator) if generator is not None else None
        here = own or [one for one in _entered.get() if one.live and one.owner is self]
        block = here[-1] if here else next(reversed(self._open))
        self._remove(block)
        return block.call

    def _remove(self, block: _Block) -> None:
        block.live = False
        self._open.pop(block, None)
        if block.generator is not None:
            left = [one for one in self._generators.pop(block.generator, ()) if one is not block]
            if left:
                self._generators[block.generator] = left
        _entered.set(tuple(one for one in _entered.get() if one.live))
