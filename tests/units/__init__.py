"""Units as types."""
