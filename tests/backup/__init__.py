"""Backups: what they keep, where they lie, and what putting one back makes of a target."""
