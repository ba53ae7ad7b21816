"""Calls inside calls of the same circuit: they belong to the outer one, which alone is admitted and counted.

A call must be announced for that, which costs as much as the rest of it. So it is done only where one can be inside
another: the circuit protects several functions, blocks or generators, or a function that calls itself. One that calls
itself through others is found out when it fails, by the frames of the stack.
"""

from __future__ import annotations

from functools import partial
from types import CodeType
from typing import TYPE_CHECKING, Any

from peak_observe.resilience.common.scopes import Scopes

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_calls: Scopes[object] = Scopes("peak_observe_circuits")
enter, leave, entered = _calls.enter, _calls.leave, _calls.entered


def is_inside(controller: object) -> bool:
    """Return whether a call of this controller's circuit is under way around the present one."""
    return any(outer is controller for outer in _calls.values())


def is_below(frame: FrameType, controller: object) -> bool:
    """Return whether a wrapper of this controller's circuit is among the frames below that of another call of it."""
    # Not the locals of the frame itself: their copy would hold its error, and the error by its traceback the frame.
    code, ahead = frame.f_code, frame.f_back
    while ahead is not None:
        if ahead.f_code is code and ahead.f_locals.get("controller") is controller:
            return True
        ahead = ahead.f_back
    return False


def may_call_itself(func: Callable[..., Any]) -> bool:
    """Return whether the code of a function mentions its own name; True where there is no code to look into."""
    while inner := func.func if isinstance(func, partial) else getattr(func, "__wrapped__", None):
        func = inner
    code = getattr(func, "__code__", None)
    return code is None or _mentions(code, code.co_name)


def _mentions(code: CodeType, name: str) -> bool:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return name in code.co_names or name in code.co_freevars or any(_mentions(one, name) for one in inner)
