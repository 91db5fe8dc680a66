"""The scripts' requests of AWS, made by a real curl and checked by botocore's own signature.

A server on loopback stands in for AWS. It proves that curl signs what it sends as AWS reckons it:
path, query, payload and session. Which version of curl an image has is another matter; this is the
one of the machine that the tests run on.
"""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SCRIPT = Path(__file__).parents[2] / "infra" / "startup" / "scripts" / "aws.sh"
KEYS = Credentials("AKIDEXAMPLE", "canary-secret", "canary/session+token==")
OTHERS = Credentials("AKIDEXAMPLE", "another", KEYS.token)
IMDS = """
imds() {
    case $1 in
        */worker) printf '%s' '{"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "canary-secret",
                                "Token": "canary/session+token=="}' ;;
        *) echo worker ;;
    esac
}
"""


@dataclass
class Cloud:
    """A server that keeps what it was asked."""

    port: int = 0
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    answer: bytes = b"content"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    kept = Cloud()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kept.asked.append((self.command, self.path, dict(self.headers), body))
            self.send_response(200)
            self.send_header("Content-Length", str(len(kept.answer)))
            self.end_headers()
            self.wfile.write(kept.answer)

        do_POST = do_GET  # noqa: N815 - as the server calls it

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(tmp_path))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    kept.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield kept
    server.shutdown()
    server.server_close()
    thread.join()


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "amazonaws.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


def _run(cloud: Cloud, folder: Path, command: str) -> str:
    """Run a function of the script; curl is led to the server by a configuration of its own."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    (folder / ".curlrc").write_text(f'connect-to = "::127.0.0.1:{cloud.port}"\ninsecure\n')
    done = subprocess.run(
        ["/bin/sh", "-euc", f". {SCRIPT}\n{IMDS}\n{command}"],
        env={"PATH": "/usr/bin:/bin", "CURL_HOME": str(folder), "AWS_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _assert_signed(cloud: Cloud, service: str) -> None:
    """The signature is the one that botocore reckons for what was sent, and for no other secret."""
    ((method, path, headers, body),) = cloud.asked
    sent = {name.casefold(): value for name, value in headers.items()}
    authorization = sent["authorization"]
    signed = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert "x-amz-security-token" in signed
    request = AWSRequest(method, f"https://{sent['host']}{path}", data=body or None)
    for name in signed:
        request.headers[name] = sent[name]
    request.context["timestamp"] = sent["x-amz-date"]
    found = authorization.rpartition("Signature=")[2]
    assert found == _signature(KEYS, service, request)
    assert found != _signature(OTHERS, service, request)


def _signature(keys: Credentials, service: str, request: AWSRequest) -> str:
    signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(keys, service, "us-east-1")
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signature: str = signer.signature(text, request)
    return signature


def test_an_object_is_fetched(cloud: Cloud, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _run(cloud, tmp_path, f"fetch 's3://my.bucket/llmops/packages/a-1+cu130.whl' {out}")
    assert out.read_bytes() == b"content"
    assert cloud.asked[0][1] == "/my.bucket/llmops/packages/a-1%2Bcu130.whl"
    _assert_signed(cloud, "s3")


def test_a_folder_is_listed(cloud: Cloud, tmp_path: Path) -> None:
    cloud.answer = b"<R><Key>wheels/a+b.whl</Key><Key>wheels/c&amp;d.whl</Key></R>"
    listed = _run(cloud, tmp_path, "list s3://bucket/some/wheels")
    assert listed.splitlines() == ["wheels/a+b.whl", "wheels/c&d.whl"]
    _assert_signed(cloud, "s3")


def test_a_secret_is_asked_for(cloud: Cloud, tmp_path: Path) -> None:
    cloud.answer = b'{"SecretString": "token"}'
    command = """printf '{"SecretId": "%s"}' 'arn:a:"b"' | secrets GetSecretValue"""
    command += " | field SecretString"
    assert _run(cloud, tmp_path, command) == "token\n"
    _, _, headers, body = cloud.asked[0]
    assert headers["X-Amz-Target"] == "secretsmanager.GetSecretValue"
    assert body == b'{"SecretId": "arn:a:"b""}'
    _assert_signed(cloud, "secretsmanager")
