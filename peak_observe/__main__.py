"""Entry point of the command `peak-observe`, also as `python -m peak_observe`."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from peak_observe.errors import MissingExtraError, PeakObserveError
from peak_observe.support.redact import printable
from peak_observe.support.streams import open_streams, unread_output_dropped, untold_errors_dropped

MODULES = {
    "exchange": ("ccxt",),
    "exporter": ("typer", "rich", "starlette", "uvicorn", "yaml", "bcrypt"),
    "shared": ("redis",),
}
"""The modules that each extra brings."""
NEEDED = {"demo": ("exchange", "exporter")}
"""The extras of commands that need more than `exporter`."""
INTERRUPTED = 130


def main() -> None:
    """Run the command line; an error becomes one line and an exit code."""
    try:
        open_streams()
        _collect_children()
        _run()
    except PeakObserveError as error:
        _end(str(error), error.exit_code)
    except OSError as error:  # a full disk, or a standard output that takes nothing
        _give_up_output()
        _end(_said(error), 1)
    except KeyboardInterrupt:  # while the command was still being imported
        sys.exit(INTERRUPTED)


def _collect_children() -> None:
    """Get exit codes of children, also where whoever started this program ignores SIGCHLD, which it inherits."""
    with suppress(AttributeError, ValueError):  # Windows has none; another thread than the main one sets none
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _end(reason: str, code: int) -> None:
    with untold_errors_dropped():
        sys.stderr.write(f"peak-observe: {printable(reason)}\n")
    sys.exit(code)


def _said(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else f"the output cannot be written: {reason}"


def _give_up_output() -> None:
    """Let the interpreter flush what is left into nothing: it would report the same error again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run() -> None:
    try:
        from peak_observe.cli import app
        from peak_observe.telemetry.snapshot import writer

        writer.disarm()  # the command asks about processes, it is none that anybody watches
        with untold_errors_dropped(), unread_output_dropped():
            app()
    except ModuleNotFoundError as error:
        missing = _missing_extras((error.name or "").partition(".")[0])
        if not missing:
            raise
        raise MissingExtraError(",".join(missing), "this command") from None


def _missing_extras(module: str) -> list[str]:
    """Return all extras that this command lacks, so that one `pip install` mends it; none for a module of no extra."""
    if not any(module in modules for modules in MODULES.values()) and module != "click":
        return []
    needed = NEEDED.get(next(iter(sys.argv[1:]), ""), ("exporter",))
    return [
        extra
        for extra, modules in MODULES.items()
        if module in modules or (extra in needed and not all(map(_is_installed, modules)))
    ]


def _is_installed(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # it is blocked, or half loaded
        return False


if __name__ == "__main__":
    main()
