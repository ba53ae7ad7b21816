"""`peak-observe backup`."""

from __future__ import annotations

import typer

from peak_observe.cli.backup import keeping, looking, making, proving, restoring
from peak_observe.cli.backup.running import guarded

app = typer.Typer(help="Make backups, prove them, and bring them back.", no_args_is_help=True)
for command in (
    making.create,
    looking.list_,
    looking.show,
    proving.verify,
    restoring.restore,
    proving.drill,
    keeping.prune,
    looking.diff,
):
    app.command(command.__name__.rstrip("_"))(guarded(command))
