"""The spec: `llmops.yaml` to a Deployment."""

from llmops.spec.models import Deployment, Hardware, Parallelism
