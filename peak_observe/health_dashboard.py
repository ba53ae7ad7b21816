"""Health dashboard as a module: `python -m peak_observe.health_dashboard` is `peak-observe health`."""

from __future__ import annotations

import sys

from peak_observe import __main__ as command


def main() -> None:
    """Run `peak-observe health` with the arguments of this program."""
    sys.argv[1:1] = ["health"]
    command.main()


if __name__ == "__main__":
    main()
