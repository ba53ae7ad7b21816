"""A module a dashboard; what one of several subjects shows of each is in modules of their own beside it."""
