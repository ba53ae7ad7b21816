"""The warm parent: `python -m faulty SCENARIO FAULT=EVERY …` tries every so manieth point and prints a line of JSON."""

import argparse
import gc
import json
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from faulty import layer
from faulty.driving import MEMORY
from faulty.layer import Call, Layer
from faulty.points import FAULTS, Point, points
from faulty.scenarios import SCENARIOS, Ended, Scenario
from faulty.world import World
from peak_observe.backup_recovery.files import workers


def run(act: Callable[[], None], installed: Layer, answer: int) -> None:
    """Be the child: act with the layer in place, and tell how that ended."""
    sys.settrace(None)  # a child that is killed tells no coverage, and tracing it is slow
    threading.settrace(None)  # type: ignore[arg-type] # None is how tracing ends
    installed.install()
    told: dict[str, Any] = {"error": "", "message": ""}
    try:
        act()
    except BaseException as error:
        installed.move(-1)  # to tell where it came from takes calls too
        kinds = [kind.__name__ for kind in type(error).__mro__]
        told = {"error": kinds[0], "kinds": kinds, "message": f"{error} {trace(error)}"}
    installed.move(-1)
    told |= {"calls": installed.calls, "unseen": installed.unseen, "pid": os.getpid()}
    text = json.dumps(told).encode()
    while text:
        text = text[layer.REAL["write"](answer, text) :]
    os._exit(0)


def trace(error: BaseException) -> str:
    """Return where an exception came from, the innermost line first."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-6:][::-1])


def forked(act: Callable[[], None], installed: Layer) -> tuple[bool, dict[str, Any]]:
    """Run something in a child, and return whether it was killed, and else what it told."""
    mine, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        run(act, installed, its)
    os.close(its)
    with open(mine, "rb") as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status)
    if not killed and not text:
        raise RuntimeError(f"the child ended with {status} and said nothing")
    return killed, {} if killed else json.loads(text)


def recorded(act: Callable[[], None]) -> tuple[list[Call], dict[str, Any]]:
    """Return the calls of a run in which nothing goes wrong, and what the child told."""
    killed, told = forked(act, Layer(record=True))
    if killed or told["error"]:
        raise RuntimeError(f"without a fault it ended with {told}")
    return [Call(number, name, tuple(paths), changes) for number, name, paths, changes in told["calls"]], told


def tried(scenario: Scenario, *tried_points: Point) -> list[str]:
    """Let one call go wrong, and perhaps one of the next run, and return what is wrong with what is left."""
    scenario.world.reset(live=scenario.live_changes)
    for point in tried_points:
        killed, told = forked(scenario.act, Layer(point.call.number, point.fault))
    error = told.get("error", "")
    path = next(iter(point.call.paths), "")
    expected = not (scenario.documented | point.raises).isdisjoint(told.get("kinds", ()))
    ended = Ended(killed, error, told.get("message", ""), expected, path, len(tried_points), point.name)
    try:
        return list(scenario.judge(ended))
    except Exception as failure:
        return [f"what came next raised {failure!r} {trace(failure)}"]


def twice(scenario: Scenario, calls: list[Call], every: int) -> Iterator[tuple[Point, ...]]:
    """Yield pairs of points: one in a run, and one in the run that makes it good."""
    chosen = [point for point in points(calls, scenario.world.root, "kill") if point.name == "kill after"]
    for number, first in enumerate(chosen[::every]):
        yield from ((first, second) for second in chosen[number % every :: every])


def main() -> None:
    """Try what was asked for, and tell which points went wrong."""
    parser = argparse.ArgumentParser(prog="faulty")
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument(
        "faults", nargs="*", help=f"{', '.join(FAULTS)} or twice, each with =EVERY; none: tell the calls"
    )
    parser.add_argument("--threads", action="store_true", help="let the package use its threads; the order varies then")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=MEMORY) as base:
        if not asked.threads:
            workers.each.__defaults__ = workers.ahead.__defaults__ = (1,)
            workers.beside.__wrapped__.__defaults__ = (1,)
        scenario = SCENARIOS[asked.scenario](World(Path(base)))
        gc.freeze()  # what is there already need not be looked at, and so not copied, in each child
        calls, told = recorded(scenario.act)
        if not asked.faults:
            print(json.dumps(told | {"base": base}))
            return
        counts, problems = {}, {}
        for fault, _, every in (text.partition("=") for text in asked.faults):
            step = int(every or 1)
            pairs = twice(scenario, calls, step) if fault == "twice" else None
            chosen = list(pairs or ((point,) for point in list(points(calls, scenario.world.root, fault))[::step]))
            counts[fault] = len(chosen)
            for one in chosen:
                if found := tried(scenario, *one):
                    problems[" then ".join(map(str, one))] = found
    print(json.dumps({"points": counts, "calls": len(calls), "problems": problems}))


if __name__ == "__main__":
    main()
