"""Retry with backoff: attempts, delays, budgets and idempotency."""
