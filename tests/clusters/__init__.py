"""The target kubernetes."""
