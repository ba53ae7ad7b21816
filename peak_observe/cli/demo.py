"""Command `peak-observe demo`."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of /metrics; 0 picks a free one.")] = 0,
    duration: Annotated[float | None, typer.Option(min=0.1, help="Seconds to run; without it until Ctrl-C.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Play the script of faults once, then stop.")] = False,
    no_prometheus: Annotated[bool, typer.Option("--no-prometheus", help="Do not start a Prometheus.")] = False,
) -> None:
    """Trade against an exchange that fails, and watch the circuits."""
    from peak_observe.demo import run

    run(port=port, duration=duration, once=once, prometheus=not no_prometheus)
