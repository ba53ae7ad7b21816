"""`peak-observe backup`."""

from __future__ import annotations

import typer

from peak_observe.cli.backup import contents, create, list_show_diff, offsite, prune, push, restore, verify
from peak_observe.cli.backup.session import guarded
from peak_observe.cli.options import FileRenamed

app = typer.Typer(help="Make backups, prove them, and bring them back.", no_args_is_help=True)
for command in (
    create.create,
    push.push,
    list_show_diff.list_,
    list_show_diff.show,
    contents.ls,
    contents.find,
    contents.cat,
    verify.verify,
    restore.restore,
    restore.recover,
    verify.drill,
    prune.prune,
    list_show_diff.diff,
):
    app.command(command.__name__.rstrip("_"), cls=FileRenamed)(guarded(command))
app.add_typer(offsite.app, name="offsite")
