"""Entry point of the command `peak-observe`, also as `python -m peak_observe`."""

from __future__ import annotations

import sys

from peak_observe.errors import MissingExtraError, PeakObserveError
from peak_observe.support.redact import printable
from peak_observe.support.streams import open_streams

EXTRAS = dict.fromkeys(("typer", "click", "rich", "starlette", "uvicorn", "yaml", "bcrypt"), "exporter") | {
    "ccxt": "exchange"
}
INTERRUPTED = 130


def main() -> None:
    """Run the command line; an error becomes one line and an exit code."""
    try:
        open_streams()
        _run()
    except PeakObserveError as error:
        sys.stderr.write(f"peak-observe: {printable(str(error))}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:  # while the command was still being imported
        sys.exit(INTERRUPTED)


def _run() -> None:
    try:
        from peak_observe.cli import app
        from peak_observe.telemetry.snapshot import writer

        writer.disarm()  # the command asks about processes, it is none that anybody watches
        app()
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        raise MissingExtraError(extra, "this command") from None


if __name__ == "__main__":
    main()
