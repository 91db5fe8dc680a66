"""The spec: every way to write a wrong file has its own message, and every right file loads."""
