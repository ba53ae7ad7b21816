"""The repository of backups on disk: metadata, manifests, lock, run ledger, retention and pruning."""
