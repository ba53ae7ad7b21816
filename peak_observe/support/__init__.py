"""Helpers for every floor: atomic files, TOML, redaction and lazy imports."""
