"""How many calls may be under way, and how many may pass in a second."""

from peak_observe.resilience.limits.bulkheads import Bulkhead, bulkhead
from peak_observe.resilience.limits.rate_limiter import RateLimiter, rate_limit

__all__ = ["Bulkhead", "RateLimiter", "bulkhead", "rate_limit"]
