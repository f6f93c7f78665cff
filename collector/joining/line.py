"""The one line that joins a server. Pure, but for the certificate's bytes that are handed in."""

import base64
import hashlib
import re
import shlex

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SCRIPT_PATH = "/v1/install.sh"

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


def key_pin(pem: bytes) -> str:
    """SHA-256 of the first certificate's SubjectPublicKeyInfo as curl's --pinnedpubkey wants it (RFC 7469 section 2.4).

    Raises ValueError where there is no certificate.
    """
    try:
        key = x509.load_pem_x509_certificate(pem).public_key()
    except ValueError as error:
        raise ValueError("its first certificate cannot be read; PEM is expected") from error
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return f"sha256//{base64.b64encode(digest).decode()}"


def certificates(pem: bytes) -> bytes:
    """The certificates of a PEM file, and nothing else that may be in it, such as a key. Raises ValueError without one."""
    found = _CERTIFICATE.findall(pem)
    if not found:
        raise ValueError("no certificate in it; PEM with BEGIN CERTIFICATE is expected")
    return b"".join(each + b"\n" for each in found)


def joining_line(url: str, node: str, token: str, pin: str | None) -> str:
    """A line for a root shell on the new server. url: https, without a slash at its end.

    The script is fetched whole before any of it runs, and only from the holder of the pinned key. The token goes
    through the environment: arguments of a process are there for every user of the machine to read.
    """
    trust = f"-k --pinnedpubkey {shlex.quote(pin)} " if pin else ""
    fetch = f"curl -fsS {trust}--proto =https {shlex.quote(url + SCRIPT_PATH)}"
    words = " ".join(shlex.quote(word) for word in (url, node, *([pin] if pin else [])))
    return f'script=$({fetch}) && LIGHTFLOOR_TOKEN={shlex.quote(token)} sh -c "$script" install.sh {words}'
