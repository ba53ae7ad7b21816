"""The state part of a backup: providers and the JSON encoding of their values."""
