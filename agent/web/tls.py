"""The TLS side of a web configuration as an ssl.SSLContext."""

import re
import ssl
from pathlib import Path

from agent.kernel.parse_error import ParseError
from agent.kernel.x509 import parse_certificate
from agent.web.config import CIPHERS, TlsServer
from agent.wire.settings import ConfigError

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def server_context(tls: TlsServer, where: str, *, insist: bool) -> ssl.SSLContext:
    """Reads the certificate, the key and the clients' authority. Raises ConfigError for files that cannot be used.

    insist: a required client certificate is required by the handshake itself. Otherwise a connection without one
    comes about, and whoever answers its requests has to refuse them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = _VERSIONS[tls.min_version], _VERSIONS[tls.max_version]
    context.options |= ssl.OP_NO_RENEGOTIATION
    if tls.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.cipher_suites:
        context.set_ciphers(":".join(CIPHERS[name] for name in tls.cipher_suites))
    _load_certificate(context, tls, where)
    if tls.client_ca_file is not None:
        _load_authority(context, tls.client_ca_file, where)
        required = insist and tls.client_auth_type == "RequireAndVerifyClientCert"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


def expiry_s(cert_file: str) -> int | None:
    """When the file's first certificate, which is the one that is shown, expires: Unix seconds; None where it cannot be read."""
    try:
        found = _CERTIFICATE.search(Path(cert_file).read_text(encoding="ascii", errors="replace"))
        return None if found is None else parse_certificate(ssl.PEM_cert_to_DER_cert(found[0])).not_after_s
    except (OSError, ValueError, ParseError):
        return None


def _load_certificate(context: ssl.SSLContext, tls: TlsServer, where: str) -> None:
    for key in ("cert_file", "key_file"):
        _check_readable(getattr(tls, key), where, key)
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        problem = f"{tls.cert_file} and {tls.key_file} are no certificate with its key in PEM ({reason})"
        raise ConfigError(where, "tls_server_config.cert_file", problem) from error


def _no_password() -> str:
    """A key that needs one would otherwise be asked for on the terminal."""
    raise ValueError("the key is encrypted; an unencrypted one is needed")


def _load_authority(context: ssl.SSLContext, file: str, where: str) -> None:
    _check_readable(file, where, "client_ca_file")
    try:
        context.load_verify_locations(file)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            where, "tls_server_config.client_ca_file", f"{file} holds no certificate in PEM"
        ) from error


def _check_readable(file: str, where: str, key: str) -> None:
    """OpenSSL's own error does not say which file it was."""
    try:
        with Path(file).open("rb"):
            pass
    except OSError as error:
        raise ConfigError(
            where, f"tls_server_config.{key}", f"{file} cannot be read: {error.strerror}"
        ) from error
