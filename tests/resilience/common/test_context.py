"""One pair of methods serves both kinds of blocks."""

import asyncio

import pytest

from peak_observe.resilience.common.context import SyncAsyncContext


class Recorded(SyncAsyncContext):
    """Notes how its blocks begin and end."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def _enter(self) -> None:
        self.seen.append("entered")

    def _exit(self, error: BaseException | None) -> None:
        self.seen.append(error)


class Twofold(Recorded):
    """Has async twins of its own."""

    async def _async_enter(self) -> None:
        await asyncio.sleep(0)
        self.seen.append("entered later")

    async def _async_exit(self, error: BaseException | None) -> None:
        await asyncio.sleep(0)
        self.seen.append(("later", error))


async def use(context: SyncAsyncContext, error: BaseException | None = None) -> None:
    """Go through an async block."""
    async with context as entered:
        assert entered is context
        if error:
            raise error


def test_with_enters_and_exits() -> None:
    """The block gets the object itself."""
    context = Recorded()
    with context as entered:
        assert entered is context
    assert context.seen == ["entered", None]


def test_async_with_uses_the_same_pair() -> None:
    """Where there are no twins."""
    context = Recorded()
    asyncio.run(use(context))
    assert context.seen == ["entered", None]


def test_async_with_prefers_the_async_twins() -> None:
    """Where there are some."""
    context = Twofold()
    asyncio.run(use(context))
    assert context.seen == ["entered later", ("later", None)]


def test_an_error_is_shown_and_comes_through() -> None:
    """Nothing is swallowed."""
    context, error = Recorded(), ValueError("own")
    with pytest.raises(ValueError, match="own"), context:
        raise error
    with pytest.raises(ValueError, match="own"):
        asyncio.run(use(context, error))
    assert context.seen == ["entered", error, "entered", error]
