"""Bulkheads and rate limits: how many calls may be under way, and how many may pass in a time."""

from peak_observe.resilience.limits.bulkheads import Bulkhead, bulkhead
from peak_observe.resilience.limits.priorities import priority
from peak_observe.resilience.limits.rate_limiter import RateLimiter, rate_limit

__all__ = ["Bulkhead", "RateLimiter", "bulkhead", "priority", "rate_limit"]
