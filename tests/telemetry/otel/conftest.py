"""The collector of `tests/otlp_sink.py`, for each test of this folder."""

from tests.otlp_sink import sink

__all__ = ["sink"]
