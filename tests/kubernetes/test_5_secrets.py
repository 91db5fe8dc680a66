"""No secret is anywhere but in its Secret: planted, used by every verb, and then looked for."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.servers import AUDIT
from tests.kubernetes.site import OURS, Site, open_site
from tests.kubernetes.standin import StandIn
from tests.support.hub import HubServer

CANARY = "canary-of-a-token-that-nobody-may-see"
LEAST = 16
"""Characters of a value that is worth looking for: what is shorter is found by chance."""


@pytest.fixture(scope="module")
def site(
    control_plane: ControlPlane,
    standin: StandIn,
    hub: HubServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    with open_site(control_plane, standin, hub, tmp_path_factory.mktemp("site")) as made:
        yield made


def values(site: Site) -> dict[str, str]:
    """What the Secrets hold, by where it is."""
    found = {}
    for secret in site.items("secrets"):
        for entry, text in secret.get("data", {}).items():
            found[f"{secret['metadata']['name']}/{entry}"] = base64.b64decode(text).decode()
    return found


def hits(secret: str, text: str) -> bool:
    """Whether a text has it, plain or as the API writes it."""
    return secret in text or base64.b64encode(secret.encode()).decode() in text


def lived(site: Site) -> tuple[dict[str, str], list[str]]:
    """A life with every verb: the secrets of it, and all that was printed but the key itself."""
    site.kubectl("create", "secret", "generic", "hugging-face", f"--from-literal=token={CANARY}")
    spec = site.desk.spec(target={"model_secret": "hugging-face"})
    key = site.desk.run("keys", "create", "chat").text  # Too early: refused.
    printed = [key, site.desk.run("plan", "-f", spec).text, site.desk.deploy(spec).text]
    key = site.desk.run("keys", "create", "chat", "-k", "team", "-o", "json").json()["key"]
    assert site.ask(key).status_code == 200
    assert site.ask(key[:-1]).status_code == 401
    changed = site.desk.spec(
        target={"model_secret": "hugging-face"}, security={"requests_per_minute": 99}
    )
    verbs: list[list[str | Path]] = [
        ["render", "-f", spec], ["status", "chat", "-o", "json"], ["keys", "list", "chat"],
        ["chat", "chat", "hello"], ["bench", "chat", "-n", "2"], ["diff", "chat"],
        ["logs", "chat"], ["keys", "create", "chat", "-k", "team"],
        ["deploy", "-f", changed, "--yes"], ["rollback", "chat", "--yes"],
        ["history", "chat", "-o", "json"],
    ]  # fmt: skip
    printed += [site.desk.run(*verb).text for verb in verbs]
    return {**values(site), "the key": key}, printed


def test_no_secret_is_anywhere_but_in_its_secret(site: Site) -> None:
    secrets, printed = lived(site)
    assert secrets["hugging-face/token"] == CANARY
    assert {"chat-operator-key/key", "chat-ray-token/auth_token"} <= set(secrets)
    looked_for = {name: one for name, one in secrets.items() if name != "chat-keys/keys.json"}
    assert all(len(one) >= LEAST for one in looked_for.values())
    kinds = ",".join(kind for kind in OURS.split(",") if kind != "secrets")
    places = {
        "the objects": site.kubectl("get", kinds, "-o", "json", "--show-managed-fields"),
        "the audit log": (site.plane.root / AUDIT).read_text(),
        **{f"output {at}": text for at, text in enumerate(printed)},
        **{str(file): file.read_text(errors="replace") for file in kept(site)},
    }
    assert len(places) > len(printed) + 2, "LLMOPS_HOME has files"
    found = [
        f"{name} in {place}"
        for name, secret in looked_for.items()
        for place, text in places.items()
        if hits(secret, text)
    ]
    assert found == []
    site.desk.run("destroy", "chat", "--yes")
    assert set(values(site)) == {"hugging-face/token"}, "what is not ours stays"


def kept(site: Site) -> list[Path]:
    """Every file that llmops keeps on this machine."""
    return [path for path in site.desk.home.rglob("*") if path.is_file()]
