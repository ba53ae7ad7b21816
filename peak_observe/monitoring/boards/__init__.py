"""Dashboards: one module each, with modules of sections beside them."""
