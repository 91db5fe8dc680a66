"""The runtime: one Ray cluster with Serve, started and owned by one host process."""
