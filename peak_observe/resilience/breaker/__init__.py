"""Circuit breaker: a pure state machine, its thread-safe controller and the wrappers around functions."""
