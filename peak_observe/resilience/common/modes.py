"""Modes of what refuses, waits or repeats: enforce, or observe as a dry run."""

from __future__ import annotations

from typing import Literal, TypeAlias

from peak_observe.support.shown import shown

Mode: TypeAlias = Literal["enforce", "observe"]
ENFORCE: Literal["enforce"] = "enforce"
OBSERVE: Literal["observe"] = "observe"


def check_mode(mode: object) -> None:
    """Raise ValueError unless `mode` is one of the two."""
    if not isinstance(mode, str) or mode not in {ENFORCE, OBSERVE}:
        raise ValueError(f"mode must be 'enforce' or 'observe' (count only, let all pass), not {shown(mode)}")
