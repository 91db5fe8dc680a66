"""The spec: `llmops.yaml` to a Deployment, and every field of it explained."""

from llmops.spec.fields import FieldDoc, explain, fields
from llmops.spec.loader import Loaded, load, loads, read
from llmops.spec.models import DNS_LABEL, Deployment, Hardware, Parallelism
from llmops.spec.starter import starter

__all__ = [
    "DNS_LABEL",
    "Deployment",
    "FieldDoc",
    "Hardware",
    "Loaded",
    "Parallelism",
    "explain",
    "fields",
    "load",
    "loads",
    "read",
    "starter",
]
