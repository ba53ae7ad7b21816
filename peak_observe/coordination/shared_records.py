"""Records by name in a shared state, replaced by compare-and-set: of two that change one at once, the second is told.

A record does not expire: what halts trading has to hold until somebody resumes, however long nobody takes part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from peak_observe.coordination.engine import EngineError
from peak_observe.errors import SharedStateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.coordination.engine import StoredRecord
    from peak_observe.coordination.session import Session

T = TypeVar("T")


class SharedRecords:
    """Records of a shared state; made by `Shared.records`.

    Args:
        session: The session with the engine.
        address: Where that is, for messages.
    """

    def __init__(self, session: Session, address: str) -> None:
        self._session = session
        self.address = address

    def load(self, name: str) -> StoredRecord:
        """Return a record.

        Raises:
            SharedStateError: The server or file cannot be reached.
        """
        return self._asked(lambda: self._session.engine.record(name))

    def replace(self, name: str, value: dict[str, Any], *, after: int) -> StoredRecord:
        """Write a record that was written `after` times, and return what is there then.

        Raises:
            SharedStateError: The server or file cannot be reached.
        """
        return self._asked(lambda: self._session.engine.record(name, value, after=after))

    def names(self, prefix: str) -> list[str]:
        """Return the names of all records that begin so, without that beginning.

        Raises:
            SharedStateError: The server or file cannot be reached.
        """
        found = self._asked(self._session.engine.record_names)
        return sorted(name.removeprefix(prefix) for name in found if name.startswith(prefix))

    def _asked(self, step: Callable[[], T]) -> T:
        if not self._session.up:
            raise SharedStateError(self.address, self._session.failure or "it has not answered yet")
        try:
            return step()
        except EngineError as error:
            self._session.lose(error)
            raise SharedStateError(self.address, str(error)) from None
