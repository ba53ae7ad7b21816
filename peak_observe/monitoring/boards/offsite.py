"""Dashboard section of off-site stores, beside the repositories that they are copies of."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring import panels, style, tables
from peak_observe.monitoring.panels import query
from peak_observe.monitoring.promql import ago, lowest, select, step_increase, total, worst
from peak_observe.monitoring.style import AGE, BYTES, COUNT, SPAN, Json

NO_STORE = "no off-site store"


def places() -> Json:
    """Return both places of each repository side by side."""
    keys = {"repository": "Repository", "process": "Process", "instance": "Instance"}
    promise = f"{select(catalog.OFFSITE_AGE_SECONDS)} / {select(catalog.OFFSITE_MAX_AGE_SECONDS)}"
    return tables.table(
        "Here and off-site",
        "The newest backup here beside the newest in the store away from this machine. Over 100 % of the promise is "
        "late; damaged: `peak-observe backup offsite verify --all` names what.",
        keys,
        [
            ("Here made ago", worst(ago(catalog.BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS), *keys), AGE),
            ("Off-site made ago", worst(ago(catalog.OFFSITE_LAST_BACKUP_TIMESTAMP_SECONDS), *keys), AGE),
            ("Of the promise off-site", worst(promise, *keys), style.of_promise()),
            ("Promised off-site", worst(select(catalog.OFFSITE_MAX_AGE_SECONDS), *keys), SPAN),
            ("Damaged off-site", worst(select(catalog.OFFSITE_DAMAGED), *keys), style.bad()),
            ("Push tried ago", lowest(ago(catalog.OFFSITE_LAST_ATTEMPT_TIMESTAMP_SECONDS), *keys), AGE),
            ("Pushed ago", lowest(ago(catalog.OFFSITE_LAST_PUSH_TIMESTAMP_SECONDS), *keys), AGE),
            ("Verified ago", lowest(ago(catalog.OFFSITE_LAST_VERIFIED_TIMESTAMP_SECONDS), *keys), AGE),
            ("Drilled ago", lowest(ago(catalog.OFFSITE_LAST_DRILL_TIMESTAMP_SECONDS), *keys), AGE),
            ("In use for", worst(ago(catalog.OFFSITE_CONFIGURED_TIMESTAMP_SECONDS), *keys), AGE),
            ("On the disk", worst(select(catalog.BACKUP_STORED_BYTES), *keys), BYTES),
            ("In the store", worst(select(catalog.OFFSITE_STORED_BYTES), *keys), BYTES),
            ("Objects", worst(select(catalog.OFFSITE_OBJECTS), *keys), COUNT),
        ],
        empty=NO_STORE,
        size=(24, 6),
    )


def courses() -> list[Json]:
    """Return what pushes did over time."""
    return [
        panels.timeseries(
            "Pushes by outcome",
            "Pushes to the off-site store that ended. Failed: `peak-observe backup push` by hand tells the reason.",
            [query(total(step_increase(catalog.OFFSITE_PUSHES_TOTAL), "outcome"), "{{outcome}}")],
            "short",
            empty=NO_STORE,
            width=12,
            bars=True,
            colours=style.BACKUP_COLOURS,
        ),
        panels.timeseries(
            "Sent and reused",
            "Bytes that were sent, compressed and encrypted, and bytes of backups that the store had already. If all "
            "is sent each time, something rewrites its files.",
            [
                query(total(step_increase(catalog.OFFSITE_SENT_BYTES_TOTAL)), "sent"),
                query(total(step_increase(catalog.OFFSITE_REUSED_BYTES_TOTAL)), "reused"),
            ],
            "bytes",
            empty=NO_STORE,
            width=12,
        ),
    ]
