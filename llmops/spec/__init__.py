"""The spec: `llmops.yaml` to a Deployment, every field of it explained; and the strict reading.

The reading is the same for every file that a user writes: a `Document` says what may stand in one.
"""

from llmops.spec.aws import AwsNetwork, AwsTarget
from llmops.spec.bounds import Between, Form
from llmops.spec.cloud import HEAD_PORT, CloudTarget
from llmops.spec.document import Document, Finding, Section, Written
from llmops.spec.fields import FieldDoc, explain, fields
from llmops.spec.generated import Generated, as_json
from llmops.spec.kubernetes import KubernetesTarget
from llmops.spec.loader import Loaded, load, loads, read
from llmops.spec.models import (
    DNS_LABEL,
    AgentTarget,
    Deployment,
    Hardware,
    LocalTarget,
    Maintenance,
    Model,
    Name,
    Parallelism,
    Wait,
)
from llmops.spec.nearest import nearest
from llmops.spec.recorded import recorded_target
from llmops.spec.reference import page_of
from llmops.spec.schema import schema_of
from llmops.spec.starter import starter
from llmops.spec.strict import Placed, read_document, read_text

__all__ = [
    "AgentTarget",
    "AwsNetwork",
    "AwsTarget",
    "Between",
    "CloudTarget",
    "DNS_LABEL",
    "Deployment",
    "Document",
    "FieldDoc",
    "Finding",
    "Form",
    "Generated",
    "HEAD_PORT",
    "Hardware",
    "KubernetesTarget",
    "Loaded",
    "LocalTarget",
    "Maintenance",
    "Model",
    "Name",
    "Parallelism",
    "Placed",
    "Section",
    "Wait",
    "Written",
    "as_json",
    "explain",
    "fields",
    "load",
    "loads",
    "nearest",
    "page_of",
    "read",
    "read_document",
    "read_text",
    "recorded_target",
    "schema_of",
    "starter",
]
