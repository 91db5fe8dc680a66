"""Serving: models, engines, the gateway and the runtime that holds them on a machine."""
