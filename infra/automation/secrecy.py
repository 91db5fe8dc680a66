"""No secret leaves with a message: what an engine, a provider or the cloud says is cleaned here.

Two ways, because either alone has holes: the values of this process's own secrets are replaced
wherever they stand, and so is what has the form of a credential. It refuses to guess further: a
text that is no secret of ours stays readable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

HIDDEN = "[secret]"
SECRET_NAMES = re.compile(r"PASSPHRASE|SECRET|TOKEN|PASSWORD|CREDENTIAL|API_?KEY", re.IGNORECASE)
"""Environment variables whose values are secrets; names of files and services among them are cut
short by SHORTEST and NOT_SECRET."""
NOT_SECRET = re.compile(r"_FILE$|_URI$|_URL$|_PATH$", re.IGNORECASE)
SHORTEST = 6
"""Characters below which a value is found in innocent words."""
FORMS = re.compile(
    r"(?:AKIA|ASIA)[A-Z0-9]{16}"  # an AWS access key's id
    r"|pul-[0-9a-f]{40}"  # a Pulumi access token
    r"|hf_[A-Za-z0-9]{20,}"  # a token of the model hub
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+"  # a signed web token
    r"|(?<=[Ee]ncoded authorization failure message: )[\w-]{20,}"
    r"|(?<=X-Amz-Signature=)[0-9a-f]+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)


class Cleaner:
    """Takes secrets out of texts."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        values = (value for name, value in environment.items() if _secret(name))
        # The longest first: one may be a part of another.
        self._values = sorted({v for v in values if len(v) >= SHORTEST}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        for value in self._values:
            text = text.replace(value, HIDDEN)
        return FORMS.sub(HIDDEN, text)


def _secret(name: str) -> bool:
    return bool(SECRET_NAMES.search(name)) and not NOT_SECRET.search(name)


__all__ = ["Cleaner", "HIDDEN"]
