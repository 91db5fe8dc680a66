"""Planning: figures, refusals and their suggestions."""
