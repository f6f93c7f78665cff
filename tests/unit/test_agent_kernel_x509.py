"""The certificate reader, against certificates that a library made."""

import datetime as dt
import ssl
from contextlib import suppress
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.kernel.parse_error import ParseError
from agent.kernel.x509 import parse_certificate

KEYS = {
    ("RSA", 2048): lambda: rsa.generate_private_key(65537, 2048),
    ("RSA", 3072): lambda: rsa.generate_private_key(65537, 3072),
    ("ECDSA", 256): lambda: ec.generate_private_key(ec.SECP256R1()),
    ("ECDSA", 384): lambda: ec.generate_private_key(ec.SECP384R1()),
    ("ECDSA", 521): lambda: ec.generate_private_key(ec.SECP521R1()),
    ("Ed25519", 256): ed25519.Ed25519PrivateKey.generate,
    ("Ed448", 456): ed448.Ed448PrivateKey.generate,
}
SIGNER = ec.generate_private_key(ec.SECP256R1())
ISSUER = x509.Name(
    [
        x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Prüfstelle"),
        x509.NameAttribute(x509.NameOID.COMMON_NAME, "R1"),
    ]
)


def utc(*parts):
    return dt.datetime(*parts, tzinfo=dt.UTC)


def made(key=None, before=utc(2026, 1, 2, 3, 4, 5), after=utc(2049, 12, 31), names=()):  # noqa: B008 - times are values
    builder = (
        x509.CertificateBuilder(ISSUER, x509.Name([]), (key or SIGNER).public_key(), 12345, before, after)
        if names is None
        else x509.CertificateBuilder(
            ISSUER, x509.Name([]), (key or SIGNER).public_key(), 12345, before, after
        ).add_extension(
            x509.SubjectAlternativeName(list(names) or [x509.DNSName("a.example")]), critical=False
        )
    )
    return builder.sign(SIGNER, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize("kind", KEYS, ids=str)
def test_every_usual_key_is_named(kind):
    """Type and size as the library made it."""
    certificate = parse_certificate(made(KEYS[kind]()))
    assert (certificate.key_type, certificate.key_bits) == kind


@pytest.mark.parametrize("after", [utc(2049, 12, 31), utc(2050, 1, 1), utc(9999, 12, 31)])
def test_both_forms_of_time_are_read(after):
    """UTCTime until 2049, GeneralizedTime from 2050 on."""
    certificate = parse_certificate(made(after=after))
    assert certificate.not_after_s == int(after.timestamp())
    assert certificate.not_before_s == 1767323045


def test_the_issuer_is_written_out():
    """Its organisation and common name, whatever the alphabet."""
    assert parse_certificate(made()).issuer == "O=Prüfstelle, CN=R1"


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("a.example", True),
        ("A.Example.", True),
        ("b.example", False),
        ("x.wild.example", True),
        ("x.y.wild.example", False),
        ("wild.example", False),
        ("192.0.2.1", True),
        ("192.0.2.2", False),
        ("2001:db8:0::1", True),
        ("example", False),
    ],
)
def test_names_match_as_the_rfc_says(host, named):
    """RFC 9525: no common name, a wildcard is one whole label, addresses only as addresses."""
    names = [x509.DNSName("a.example"), x509.DNSName("*.wild.example")]
    names += [x509.IPAddress(address) for address in map(ip_address, ("192.0.2.1", "2001:db8::1"))]
    assert parse_certificate(made(names=names)).names(host) is named


def test_no_names_match_nothing():
    """A certificate without subject alternative names is for nobody."""
    assert not parse_certificate(made(names=None)).names("a.example")


def test_real_authorities_of_this_host_are_read():
    """Every root that the host trusts, and their times agree with OpenSSL's."""
    context = ssl.create_default_context()
    for der, parsed in zip(context.get_ca_certs(binary_form=True), context.get_ca_certs(), strict=True):
        assert parse_certificate(der).not_after_s == ssl.cert_time_to_seconds(parsed["notAfter"])


WHOLE = made()


@settings(max_examples=300)
@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_certificate_or_a_parse_error(data):
    """No other exception."""
    with suppress(ParseError):
        parse_certificate(data)


@settings(max_examples=1000)
@given(at=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255), cut=st.integers(0, len(WHOLE)))
def test_a_damaged_certificate_gives_a_value_or_a_parse_error(at, value, cut):
    """One byte changed, or the end missing: no other exception."""
    for damaged in (WHOLE[:at] + bytes([value]) + WHOLE[at + 1 :], WHOLE[:cut]):
        with suppress(ParseError):
            parse_certificate(damaged)
