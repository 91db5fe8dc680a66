"""Fleet plans: which machine and layout, at what price, and why; and what of it is shown."""
