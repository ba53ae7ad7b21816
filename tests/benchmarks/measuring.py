"""How to compare on a noisy machine: everything in turn, round after round, and medians of ratios within a round."""

import gc
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass
class Verdict:
    """A measured ratio beside its budget."""

    what: str
    measured: float
    budget: float

    @property
    def kept(self) -> bool:
        """Whether the budget is kept."""
        return self.measured <= self.budget

    def __str__(self) -> str:
        mark = "ok    " if self.kept else "MISSED"
        return f"  {mark} {self.what}: {self.measured:.3g} x, budget {self.budget:.3g} x"


class MissingProgramError(Exception):
    """A program is not installed: its budgets are not measured, which is not to keep them."""


def program(name: str) -> str:
    """Return the path of a program, or raise `MissingProgramError`."""
    if (path := shutil.which(name)) is None:
        raise MissingProgramError(f"{name} is not installed (`make bench` installs it where it may)")
    return path


def in_turns(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return what each contestant measured in each round; the first round warms up and is dropped."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, measure in contestants.items():
            gc.collect()
            gc.disable()
            try:
                seconds = measure()
            finally:
                gc.enable()
            if turn:
                found[name].append(seconds)
    return found


def ratio(numbers: list[float], others: list[float]) -> float:
    """Return the median ratio of two contestants within the same rounds."""
    return median(a / b for a, b in zip(numbers, others, strict=True))


def over(numbers: list[float], base: list[float]) -> list[float]:
    """Return what a contestant took longer than the base in each round."""
    return [a - b for a, b in zip(numbers, base, strict=True)]


def table(rows: list[tuple[str, str, str]], heads: tuple[str, str, str]) -> None:
    """Print three columns, the last two to the right."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(3)]
    for row in [heads, *rows]:
        print(f"  {row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}")
