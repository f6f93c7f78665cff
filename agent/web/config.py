"""The web configuration file of Prometheus' exporters as one typed model.

Format: github.com/prometheus/exporter-toolkit, docs/web-configuration.md. What it allows and is refused here: TLS below
1.2, certificates that are asked for but not verified, PEM text in place of files, curves, and rate limits.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from agent.wire.settings import ConfigError, convert

CIPHERS = {
    f"TLS_ECDHE_{key}_WITH_{name}": f"ECDHE-{key}-{openssl}"
    for key in ("ECDSA", "RSA")
    for name, openssl in (
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
    )
}
"""Cipher suites of TLS 1.2 with forward secrecy: Go's name, as in the file, → OpenSSL's."""

BcryptHash = Annotated[str, msgspec.Meta(pattern=r"^\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}$")]
ClientAuthType = Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"]
Version = Literal["TLS12", "TLS13"]


class TlsServer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Certificate, and what is asked of clients. Cipher suites are those of TLS 1.2; none named: OpenSSL's own."""

    cert_file: str
    key_file: str
    client_auth_type: ClientAuthType = "NoClientCert"
    client_ca_file: str | None = None
    client_allowed_sans: tuple[str, ...] = ()
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True

    def __post_init__(self) -> None:
        asks = self.client_auth_type != "NoClientCert"
        if asks != (self.client_ca_file is not None):
            raise ValueError(
                "client_ca_file belongs to a client_auth_type that verifies, and the other way round"
            )
        if self.client_allowed_sans and self.client_auth_type != "RequireAndVerifyClientCert":
            raise ValueError("client_allowed_sans needs client_auth_type RequireAndVerifyClientCert")
        if self.min_version > self.max_version:
            raise ValueError("min_version is above max_version")
        unknown = next((name for name in self.cipher_suites if name not in CIPHERS), None)
        if unknown is not None:
            raise ValueError(f"cipher_suites: {unknown} is not known; known: {', '.join(CIPHERS)}")


class Headers(
    msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename=lambda name: name.replace("_", "-")
):
    """Headers of every answer; blank is unset."""

    Content_Security_Policy: str = ""
    X_Frame_Options: Literal["", "deny", "sameorigin"] = ""
    X_Content_Type_Options: Literal["", "nosniff"] = ""
    X_XSS_Protection: str = ""
    Strict_Transport_Security: str = ""

    def given(self) -> dict[str, str]:
        """Name → value of those that are set."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if value}


class HttpServer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """http2 is accepted and changes nothing: HTTP/1.1 is what is spoken here."""

    http2: bool = True
    headers: Headers = Headers()


class WebConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file. basic_auth_users: name → bcrypt hash of the password; none: no password is asked for."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: dict[str, BcryptHash] = {}

    @property
    def files(self) -> tuple[Path, ...]:
        """What else is read."""
        tls = self.tls_server_config
        names = (tls.cert_file, tls.key_file, tls.client_ca_file) if tls else ()
        return tuple(Path(name) for name in names if name is not None)


def parse_web_config(text: str, where: str) -> WebConfig:
    """The file's text as a configuration. Raises ConfigError; where names the file in it."""
    return convert(_document(text, where), WebConfig, where)


def read_web_config(path: Path) -> WebConfig:
    """The file at path, relative names in it taken from its own directory. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), "", f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), "", f"not UTF-8 at byte {error.start}") from error
    config = parse_web_config(text, str(path))
    tls = config.tls_server_config
    if tls is None:
        return config
    beside = path.resolve().parent
    names = ("cert_file", "key_file", "client_ca_file")
    absolute = {name: str(beside / stated) for name in names if (stated := getattr(tls, name)) is not None}
    return msgspec.structs.replace(config, tls_server_config=msgspec.structs.replace(tls, **absolute))


def _document(text: str, where: str) -> Any:
    import yaml  # noqa: PLC0415 - 20 ms and 2 MB that only programs with such a file pay

    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        # PyYAML raises these too, for text that looks like a date or a number and is none
        words = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(where, "", f"not YAML: {words}") from error
    return {} if document is None else document
