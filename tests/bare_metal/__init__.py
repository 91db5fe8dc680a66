"""Clusters of one's own machines: their inventory, cable plan and fabric."""
