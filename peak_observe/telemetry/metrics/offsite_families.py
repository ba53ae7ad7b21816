"""Metric families of off-site stores; a repository without one has none of their series."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.telemetry.metrics.family import Family, living


def _one(metric: catalog.Metric, name: str) -> Family:
    return Family(metric, lambda r: () if r.offsite is None else living(getattr(r.offsite, name)))


OFFSITE_FAMILIES = (
    _one(catalog.OFFSITE_LAST_BACKUP_TIMESTAMP_SECONDS, "last_backup"),
    _one(catalog.OFFSITE_AGE_SECONDS, "age"),
    _one(catalog.OFFSITE_MAX_AGE_SECONDS, "max_age"),
    _one(catalog.OFFSITE_CONFIGURED_TIMESTAMP_SECONDS, "configured"),
    _one(catalog.OFFSITE_LAST_PUSH_TIMESTAMP_SECONDS, "last_push"),
    _one(catalog.OFFSITE_LAST_ATTEMPT_TIMESTAMP_SECONDS, "last_attempt"),
    Family(
        catalog.OFFSITE_PUSHES_TOTAL,
        lambda r: () if r.offsite is None else r.offsite.pushes,
        lambda r: () if r.offsite is None else catalog.OFFSITE_OUTCOMES,
    ),
    _one(catalog.OFFSITE_SENT_BYTES_TOTAL, "sent_bytes"),
    _one(catalog.OFFSITE_REUSED_BYTES_TOTAL, "reused_bytes"),
    _one(catalog.OFFSITE_OBJECTS, "objects"),
    _one(catalog.OFFSITE_STORED_BYTES, "stored_bytes"),
    _one(catalog.OFFSITE_DAMAGED, "damaged"),
    _one(catalog.OFFSITE_LAST_VERIFIED_TIMESTAMP_SECONDS, "last_verified"),
    _one(catalog.OFFSITE_LAST_DRILL_TIMESTAMP_SECONDS, "last_drill"),
)
