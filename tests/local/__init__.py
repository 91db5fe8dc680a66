"""This machine: what it has, what runs on it, and how a release proves itself."""
