"""Secrets in the clear: a spec is shared, printed and kept, so a secret in one is nobody's secret.

Always on, without a policy, and no waiver sets it aside. The value is never repeated, not even in
part. Names of Secrets are references, and fine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llmops.policies.findings import Finding, Severity
from llmops.policies.review.subject import Subject

TOKENS = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}"
    r"|\bsk-[A-Za-z0-9_-]{20,}"
    r"|\bllmops-[0-9a-f]{16}-[A-Za-z0-9_-]{20,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{30,}"
    r"|\bglpat-[A-Za-z0-9_-]{16,}"
    r"|\bxox[abeoprs]-[A-Za-z0-9-]{10,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bAIza[0-9A-Za-z_-]{35}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\."
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/@]+@",
    re.ASCII,
)
"""Tokens by the beginnings that their makers give them (Hugging Face, OpenAI and its like, our own,
GitHub, GitLab, Slack, AWS, Google, JSON web tokens), private keys, and passwords in addresses."""

NAMES = re.compile(
    r"(?:^|[_-])(?:api_?key|passw(?:or)?d|passphrase|secret|credentials?|access_token"
    r"|auth_token|bearer)(?:$|[_-])"
)
"""Names of engine arguments whose value is a secret. `token` alone is a word of models."""


def check_secrets(subject: Subject) -> Iterator[Finding]:
    """Findings about texts of the spec that look like secrets."""
    for path, text in _texts(subject.document, ""):
        if TOKENS.search(text):
            yield _found(path, "looks like a secret")
    for name, value in subject.deployment.engine.args.items():
        if NAMES.search(name.replace("-", "_")) and isinstance(value, str) and value:
            yield _found(f"engine.args.{name}", "is a secret by its name")


def _found(path: str, what: str) -> Finding:
    return Finding(
        "security.secret-in-clear", Severity.BLOCK, path, f"the text at {path} {what}",
        "the value is not repeated here",
        "remove it and make a new secret: this one may have been read; keep the new one in a"
        " Secret or a file, and write its name",
    )  # fmt: skip


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text of plain data with its path; keys of mappings are texts of their mapping."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if TOKENS.search(str(key)):
                yield path, str(key)
            else:
                yield from _texts(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{path}[{index}]")
