"""Writes the references that are made from the code: `python docs/make [FOLDER]`, docs/reference by default."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import api
import commands
import configuration
import metrics

PAGES = {
    "api.md": api.page,
    "command-line.md": commands.page,
    "configuration.md": configuration.page,
    "metrics.md": metrics.page,
}


def main() -> None:
    """Write every page."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "reference"
    folder.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
