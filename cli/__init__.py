"""The command line: one verb per file, which reads arguments, calls a door and draws."""
