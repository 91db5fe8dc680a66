"""The command line, as a shell meets it."""
