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
    "command-line.md": commands.page,
    "configuration.md": configuration.page,
    "metrics.md": metrics.page,
}


def main() -> None:
    """Write every page."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "reference"
    (folder / "api").mkdir(parents=True, exist_ok=True)
    made = {name: page() for name, page in PAGES.items()} | api.pages()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    for path in set((folder / "api").iterdir()) - {folder / name for name in made}:
        path.unlink()  # of a room that is gone


if __name__ == "__main__":
    main()
