"""Policies: several strategies around one function, in a checked order."""
