"""Controllers over Redfish, by sushy: TLS verified, each request once, and nothing left behind.

Documents are handed on as they came. sushy's own readings cut thresholds to whole numbers, know
neither voltages nor consumed power, and drop a whole resource for one odd value; what it knows of
vendors' ways to reset and to choose a boot device is used. Login is HTTP Basic, which a Redfish
service has to take (DSP0266, Authentication): a session would stay on a controller when this
command is killed, and sushy would try a wrong password a second time. Needs the extra `metal`.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
import sushy
from requests.adapters import HTTPAdapter
from sushy import auth, exceptions
from sushy.connector import Connector
from sushy.resources.system.system import System

from bare_metal.bmc.port import Changing, Document, ResourceUnknownError
from bare_metal.hosts.connection import HostGoneError
from bare_metal.inventory import Bmc, Placed

CONNECT_SECONDS = 10.0
RETRIES, RETRY_SECONDS = 1, 1
"""sushy's smallest: a request that fails on its way is not sent again, since that of a reset may
have arrived; an answer of the 5xx kind to a question is asked for once more."""
MOST_SAID = 200
UNKNOWN_FORM = (exceptions.SushyError, ValueError, TypeError, AttributeError, KeyError)
"""What sushy raises over a document of another form than it expects."""

ELSEWHERE = (
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidURL,
)
"""What requests raises over an address that its session does not lead to."""

logging.getLogger("sushy").setLevel(logging.CRITICAL + 1)
# Its log repeats what a controller says, also where that repeats the password.


@dataclass(frozen=True, slots=True)
class SushyControllers:
    """Controllers as `bmc` of a cluster file says that they are reached."""

    bmc: Bmc
    password: str = field(repr=False)
    verify: bool | str
    """Whether their certificates are verified, or by which file of authorities."""

    @contextmanager
    def looking(self, host: Placed) -> Iterator[Changing]:
        """A controller to look at."""
        with self.changing(host) as controller:
            yield controller

    @contextmanager
    def changing(self, host: Placed) -> Iterator[Changing]:
        """A controller to change its host by."""
        name = f"[{host.bmc}]" if ":" in host.bmc else host.bmc
        base = f"https://{name}:{self.bmc.port}"
        connector = Connector(
            base, verify=self.verify, server_side_retries=RETRIES,
            server_side_retries_delay=RETRY_SECONDS, connect_timeout=CONNECT_SECONDS,
            default_request_timeout=self.bmc.timeout.seconds,
        )  # fmt: skip
        # sushy has no other way to say which session it is to use.
        _only_to(connector._session, f"{base}/")  # noqa: SLF001
        try:
            yield _opened(connector, base, self.bmc.user, self.password)
        finally:
            connector.close()


def _only_to(session: requests.Session, base: str) -> None:
    """Have a session talk to one controller and to nobody else.

    A link in a document may be a whole address, and sushy would follow it with the password. Nor
    do this machine's settings for proxies, certificates and logins (`.netrc`) count.
    """
    session.trust_env = False
    session.adapters.clear()
    session.mount(base, HTTPAdapter())


def _opened(connector: Connector, base: str, user: str, password: str) -> RedfishController:
    login = (user.encode(), password.encode())
    clean = _Cleaner((password, base64.b64encode(b":".join(login)).decode()))
    controller = RedfishController(connector, user, clean)
    try:
        with controller.asked("the service's root"):
            sushy.Sushy(base, auth=auth.BasicAuth(*login), connector=connector)
    except ResourceUnknownError as error:
        raise HostGoneError(
            f"no Redfish service answers there: {error.reason}",
            "bmc.port and the host's bmc_address say where it is",
        ) from error
    return controller


@dataclass(frozen=True, slots=True)
class _Cleaner:
    """Takes secrets, and what a terminal would obey, out of what a controller says."""

    secrets: tuple[str, ...] = field(repr=False)

    def __call__(self, said: object) -> str:
        text = str(said)
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return "".join(one for one in text if one.isprintable())[:MOST_SAID]


@dataclass(frozen=True, slots=True)
class RedfishController:
    """A controller that answered."""

    connector: Connector
    user: str
    clean: _Cleaner

    def document(self, path: str) -> Document:
        """A resource by its path."""
        with self.asked(self.clean(path)):
            found = self.connector.get(path).json()
        if not isinstance(found, dict):
            raise ResourceUnknownError(f"{self.clean(path)}: it is of no form that Redfish has")
        return found

    def reset(self, system: str, kind: str) -> None:
        """Have a system start or stop."""
        with self.asked(kind):
            System(self.connector, system).reset_system(sushy.ResetType(kind))

    def boot_from(self, system: str, target: str, enabled: str) -> None:
        """Have a system start from somewhere else."""
        with self.asked(f"{enabled} {target}".rstrip()):
            System(self.connector, system).set_system_boot_options(
                target=sushy.BootSource(target) if target else None,
                enabled=sushy.BootSourceOverrideEnabled(enabled),
            )

    @contextmanager
    def asked(self, what: str) -> Iterator[None]:
        """Tell what goes wrong with a request in our own words; those of the controller cleaned."""
        try:
            yield
        except exceptions.ConnectionError as error:
            raise self._lost(what, error.__context__) from error
        except exceptions.HTTPError as error:
            raise self._said_no(what, error) from error
        except requests.RequestException as error:
            # What is no JSON, or only a part of it, comes by this way too.
            raise ResourceUnknownError(f"{what}: the answer cannot be read") from error
        except UNKNOWN_FORM as error:
            said = self.clean(getattr(error, "message", None) or type(error).__name__)
            raise ResourceUnknownError(f"{what}: it is of no known form: {said}") from error

    def _lost(self, what: str, cause: BaseException | None) -> Exception:
        if isinstance(cause, requests.exceptions.SSLError):
            return HostGoneError(
                f"its certificate is not trusted, so it was not talked to: {_untrusted(cause)}",
                "name a file with who signed it: bmc.ca; it must be made out to the controller's"
                " address",
            )
        if isinstance(cause, requests.exceptions.ConnectTimeout):
            return HostGoneError(f"it does not answer within {CONNECT_SECONDS:g} s", _POWER)
        if isinstance(cause, requests.exceptions.ReadTimeout):
            return ResourceUnknownError(f"{what}: no answer in time (bmc.timeout)")
        if isinstance(cause, requests.exceptions.ChunkedEncodingError):
            return ResourceUnknownError(f"{what}: the answer ended before it was whole")
        if isinstance(cause, ELSEWHERE):
            return ResourceUnknownError(
                f"{what}: it leads to another machine, and was not followed"
            )
        return HostGoneError("the connection was refused or lost", _POWER)

    def _said_no(self, what: str, error: Any) -> Exception:
        if error.status_code == requests.codes.unauthorized:
            return HostGoneError(
                f"it does not let {self.user} in; that was tried once",
                "bmc.user and bmc.password of the cluster file say who logs in",
            )
        if error.status_code == requests.codes.forbidden:
            return ResourceUnknownError(f"{what}: {self.user} has no right to it")
        if error.status_code == requests.codes.not_found:
            return ResourceUnknownError(f"{what}: it is not there")
        detail = self.clean(getattr(error, "detail", "") or "")
        said = f": {detail}" if detail else ""
        return ResourceUnknownError(f"{what}: answered by {error.status_code}{said}")


_POWER = "see whether the controller has power and network, and whether bmc.port is right"


def _untrusted(error: BaseException) -> str:
    found = re.search(r"certificate verify failed: ([^('\"]+)", str(error))
    return found[1].strip() if found else "no agreement on TLS"


__all__ = ["RedfishController", "SushyControllers"]
