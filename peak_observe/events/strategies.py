"""Events of hedges and of policies that are reloaded."""

from __future__ import annotations

from typing import NamedTuple

from peak_observe.support.shown import record_repr


class HedgeFailed(NamedTuple):
    """A request of a hedged call failed though another one answered, so that the caller does not see its error.

    Args:
        operation: The operation's name.
        request: Number of the request: 0 is the first one, 1 the first hedge.
        error: The exception.
    """

    operation: str
    request: int
    error: BaseException

    def __repr__(self) -> str:
        return record_repr(self)


class PolicyReloaded(NamedTuple):
    """The file of a policy changed, and the policy took the change over, or could not and keeps its settings.

    Args:
        policy: The policy's name.
        path: The file.
        success: Whether the policy is now as the file says.
        message: The parts that changed, or the fault and the mend.
    """

    policy: str
    path: str
    success: bool
    message: str

    def __repr__(self) -> str:
        return record_repr(self)
