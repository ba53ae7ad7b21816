"""Mixin for `with` and `async with` from one pair of methods."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class SyncAsyncContext:
    """Mixin for `with` and `async with`: a class writes `_enter` and `_exit`, and async twins only if they differ.

    It swallows no exception, and type checkers know it.
    """

    __slots__ = ()

    def _enter(self) -> None:
        """Begin the block."""

    def _exit(self, error: BaseException | None) -> None:
        """End the block, however it is left."""

    async def _async_enter(self) -> None:
        """Begin the block in a coroutine."""
        self._enter()

    async def _async_exit(self, error: BaseException | None) -> None:
        """End the block in a coroutine."""
        self._exit(error)

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit(error)

    async def __aenter__(self) -> Self:
        await self._async_enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._async_exit(error)
