"""The catalogue: what is shipped, what a user adds, and what is wrong with either."""
