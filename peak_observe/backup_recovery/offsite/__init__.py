"""Off-site store: encrypted, deduplicated copies of backups in an object store, proven without the machine."""
