"""The spec: `llmops.yaml` to a Deployment, every field of it explained; and the strict reading.

The reading is the same for every file that a user writes: a `Document` says what may stand in one.
"""

from llmops.spec.adapter_rules import OWN, adapter_path, adapters_of, run_of
from llmops.spec.adapters import Adapter
from llmops.spec.addresses import check as wrong_address
from llmops.spec.aws import AwsNetwork, AwsTarget
from llmops.spec.bounds import Between, Form
from llmops.spec.cloud import HEAD_PORT, CloudTarget
from llmops.spec.contradictions import SPANS_NOT
from llmops.spec.document import Document, Finding, Section, Written
from llmops.spec.fields import FieldDoc, explain, fields
from llmops.spec.generated import Generated, as_json
from llmops.spec.kubernetes import KubernetesTarget
from llmops.spec.loader import SPEC, Loaded, load, loaded, loads, read
from llmops.spec.machines import AgentTarget, BareMetalTarget, LocalTarget, MadeOn
from llmops.spec.models import Deployment, Hardware, Maintenance, Model, Parallelism, Wait
from llmops.spec.names import DNS_LABEL, Name
from llmops.spec.nearest import nearest
from llmops.spec.nodes import Trail
from llmops.spec.recorded import recorded_target
from llmops.spec.reference import page_of
from llmops.spec.schema import schema_of
from llmops.spec.sources import find_in_revision, find_in_source
from llmops.spec.starter import check as check_starter
from llmops.spec.starter import options as starter_options
from llmops.spec.starter import spelled, starter
from llmops.spec.strict import STDIN, Placed, read_document, read_one_of, read_text
from llmops.spec.trying import on_some_traffic, tried

__all__ = [
    "Adapter",
    "AgentTarget",
    "AwsNetwork",
    "AwsTarget",
    "BareMetalTarget",
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
    "MadeOn",
    "Maintenance",
    "Model",
    "Name",
    "OWN",
    "Parallelism",
    "Placed",
    "SPANS_NOT",
    "SPEC",
    "STDIN",
    "Trail",
    "Section",
    "Wait",
    "Written",
    "as_json",
    "adapter_path",
    "adapters_of",
    "check_starter",
    "explain",
    "fields",
    "find_in_revision",
    "find_in_source",
    "load",
    "loaded",
    "loads",
    "nearest",
    "page_of",
    "on_some_traffic",
    "read",
    "read_document",
    "read_one_of",
    "read_text",
    "recorded_target",
    "run_of",
    "schema_of",
    "spelled",
    "starter",
    "starter_options",
    "tried",
    "wrong_address",
]
