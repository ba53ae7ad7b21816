"""Helpers that all resilience strategies share: validation, wrapping, deadlines, predicates and callbacks."""
