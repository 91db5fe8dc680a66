"""The reference page of a kind of file, made of its models' docstrings. Pure."""

from __future__ import annotations

import re
import textwrap

from llmops.spec.document import Section
from llmops.spec.fields import OF_LIST, FieldDoc, fields
from llmops.spec.models import Deployment
from llmops.units import Bytes, Duration

_HEAD = """\
# The spec: `llmops.yaml`

<!-- Made from the docstrings in llmops/spec/models.py, kubernetes.py, cloud.py and aws.py beside
     it. Change those, then run: python -m llmops.spec.generate -->

One file says what to serve and where. Only `name` and `model.source` are required; every other
field has a default that is safe. `llmops init NAME` writes a file to start from, `llmops validate`
checks one (`-` reads standard input), and `llmops explain FIELD` shows what stands below.

```yaml
name: support-chat
model:
  source: hf://Qwen/Qwen2.5-0.5B-Instruct
```

**Several files.** `-f base.yaml -f prod.yaml` lays the second over the first: mappings are merged
key by key, lists and single values are replaced. An error names the file and line that the value
came from.

**Spelling.** The file is UTF-8 and YAML 1.2: `true` and `false` are the only booleans. What other
YAML readers take for something else without quotes (`no`, `on`, `010`, `12:30`, `2024-01-01`) is
refused, and so are unknown keys, keys given twice, tags, and more than one document. Anchors,
aliases and `<<` may be used.

**Sizes** are a number and a unit: {sizes}.
`GiB` is 2^30 bytes, `GB` is 10^9.
**Times** are a number and a unit: {times}. A number alone is refused where a unit is due.

**Editors** that know the YAML language server complete and check the file with the schema that
comes with the program, `llmops/spec/llmops.schema.json`, when its first line is:

```yaml
# yaml-language-server: $schema=<path to llmops.schema.json>
```

Secrets have no place in a spec: `security.keys` are names, and the keys themselves are made by
`llmops deploy` and `llmops keys`.
"""


def reference_page() -> str:
    """The whole page of the spec, in Markdown."""
    head = _HEAD.format(sizes=", ".join(Bytes.UNITS), times=", ".join(Duration.UNITS))
    return page_of(Deployment, head, "The service")


def page_of(model: type[Section], head: str, title: str) -> str:
    """A page in Markdown: `head`, then every field of `model`, `title` above those at its top."""
    docs = fields(model)
    lists = {doc.path.partition(OF_LIST)[0] for doc in docs if OF_LIST in doc.path}
    top = [doc for doc in docs if "." not in doc.path]
    sections = [doc for doc in docs if doc.section or (doc in top and doc.path in lists)]
    single = [doc for doc in top if doc not in sections]
    parts = [head, f"## {title}\n", *(_field(doc) for doc in single)]
    for section in sections:
        parts.append(_section(section))
        parts += [_field(doc) for doc in docs if doc not in sections and _lies_in(doc, section)]
    return "\n".join(parts)


def _lies_in(doc: FieldDoc, section: FieldDoc) -> bool:
    """Whether a field is the section's own: sections in it have a heading to themselves."""
    if doc.path.startswith(section.path + OF_LIST):
        return True
    above = doc.path.replace(f"{OF_LIST}.", OF_LIST).rpartition(".")[0]
    return above == section.path.replace(f"{OF_LIST}.", OF_LIST) and not doc.section


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def _section(doc: FieldDoc) -> str:
    words = ", ".join(f"`{word}`" for word in doc.allowed)
    instead = f" {words} may stand in place of the section; that is the default." if words else ""
    required = " Required." if doc.required else ""
    left_out = " Nothing of it holds unless it is written." if doc.default == "none" else ""
    told = doc.doc + instead + required + left_out
    return f"## `{doc.path}`\n\n{_wrapped(f'{told}{_only(doc)}')}\n"


def _only(doc: FieldDoc) -> str:
    """For which kind of its section a field is."""
    return f" For `kind: {doc.only}`." if doc.only else ""


def _field(doc: FieldDoc) -> str:
    default = "Required." if doc.required else f"Default: `{doc.default}`."
    if doc.default == "none":
        default = "No default."
    takes = re.sub(r"'([^']+)'(?= |,|$)", r"`\1`", doc.type)
    line = _wrapped(f"Takes {takes}. {default}{_only(doc)}")
    return f"### `{doc.path}`\n\n{line}\n\n{_wrapped(doc.doc)}\n"
