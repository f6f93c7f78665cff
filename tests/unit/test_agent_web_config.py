"""The web configuration file is what Prometheus' own tools take, and what is refused says why."""

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.web.config import CIPHERS, WebConfig, parse_web_config, read_web_config
from agent.wire.settings import ConfigError

HASH = "$2y$04$" + "a" * 53
WHOLE = f"""
tls_server_config:
  cert_file: cert.pem
  key_file: /keys/key.pem
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: clients.pem
  min_version: TLS13
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
http_server_config:
  http2: true
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Frame-Options: deny
    X-XSS-Protection: ""
basic_auth_users:
  prometheus: {HASH}
"""
TLS = "tls_server_config: {cert_file: c, key_file: k%s}"


def test_every_setting_is_read(tmp_path):
    """Each with its value; names of files are taken from the file's own directory, blank headers are none."""
    (tmp_path / "web.yml").write_text(WHOLE)
    config = read_web_config(tmp_path / "web.yml")
    tls = config.tls_server_config
    assert (tls.cert_file, tls.key_file) == (str(tmp_path / "cert.pem"), "/keys/key.pem")
    assert tls.client_ca_file == str(tmp_path / "clients.pem")
    assert (tls.min_version, tls.prefer_server_cipher_suites) == ("TLS13", False)
    given = config.http_server_config.headers.given()
    assert given == {"Strict-Transport-Security": "max-age=31536000", "X-Frame-Options": "deny"}
    assert config.basic_auth_users == {"prometheus": HASH}
    assert len(config.files) == 3


def test_the_example_is_right():
    """deploy/web.example.yml is taken, and its password is the one that it says."""
    import bcrypt

    config = read_web_config(Path(__file__).parents[2] / "deploy/web.example.yml")
    assert bcrypt.checkpw(b"change me", config.basic_auth_users["prometheus"].encode())


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n", "basic_auth_users: {}"])
def test_an_empty_file_protects_nothing(text):
    """As with the toolkit: plain HTTP for everybody."""
    assert parse_web_config(text, "web.yml") == WebConfig()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tls_server_config: {cert_file: c}", "tls_server_config.key_file: required key is missing"),
        (TLS % ", min_version: TLS10", "tls_server_config.min_version: .*TLS12, TLS13"),
        (TLS % ", min_version: TLS13, max_version: TLS12", "min_version is above max_version"),
        (TLS % ", client_auth_type: RequireAnyClientCert", "client_auth_type: .*RequireAndVerifyClientCert"),
        (TLS % ", client_auth_type: RequireAndVerifyClientCert", "client_ca_file belongs to"),
        (TLS % ", client_ca_file: a", "client_ca_file belongs to"),
        (TLS % ", client_allowed_sans: [a]", "client_allowed_sans needs"),
        (TLS % ", cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]", "TLS_RSA_WITH_RC4_128_SHA is not known"),
        (TLS % ", cert_flie: x", "unknown key; did you mean cert_file"),
        ("rate_limit: {burst: 1}", "rate_limit: unknown key"),
        ("http_server_config: {headers: {Server: x}}", "unknown key"),
        ("http_server_config: {headers: {X-Frame-Options: maybe}}", "X-Frame-Options: .*deny, sameorigin"),
        ("basic_auth_users: {a: plain-password}", "basic_auth_users"),
        ("[a", "not YAML"),
        ("- a", "expected object, got array"),
        ("a: 2026-13-45", "web.yml: "),
    ],
)
def test_a_wrong_file_is_one_line_that_says_where(text, problem):
    """With the key path and what would be right, and never with a password."""
    with pytest.raises(ConfigError, match=problem) as refused:
        parse_web_config(text, "web.yml")
    assert "\n" not in str(refused.value)
    assert "plain-password" not in str(refused.value)


@given(
    st.one_of(
        st.text(),
        st.text("{}[]:,-&*!|>%@'\"\\ \nabc0123.=<?~"),
        st.binary().map(lambda b: b.decode("latin-1")),
    )
)
def test_any_text_is_a_configuration_or_one_error(text):
    """No other exception."""
    with suppress(ConfigError):
        parse_web_config(text, "web.yml")


def test_cipher_names_are_ones_that_openssl_knows():
    """Each of Go's names in the table stands for a suite that can be set."""
    import ssl

    for name in CIPHERS.values():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(name)
        assert name in {cipher["name"] for cipher in context.get_ciphers()}


@pytest.mark.debian
def test_promtool_takes_what_we_take(tmp_path):
    """`promtool check web-config` has no complaint about a file with every setting."""
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "clients.pem")
    (tmp_path / "web.yml").write_text(WHOLE.replace("/keys/key.pem", "cert.pem"))
    try:
        done = subprocess.run(
            ["promtool", "check", "web-config", str(tmp_path / "web.yml")], capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    assert done.returncode == 0, done.stderr
    read_web_config(tmp_path / "web.yml")
