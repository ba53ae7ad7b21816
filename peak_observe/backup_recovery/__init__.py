"""Backups that exist when they are needed."""
