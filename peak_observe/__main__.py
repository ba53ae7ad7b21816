"""The command `peak-observe`, also as `python -m peak_observe`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; an error becomes one line and an exit code."""
    from peak_observe.errors import MissingExtraError, PeakObserveError

    try:
        try:
            from peak_observe.cli import app
        except ModuleNotFoundError as error:
            if error.name in ("typer", "rich", "click"):
                raise MissingExtraError("exporter", "the command peak-observe") from None
            raise
        app()
    except PeakObserveError as error:
        sys.stderr.write(f"peak-observe: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
