import shlex

import pytest
import trustme

from collector.joining.line import certificates, joining_line, key_pin

PIN = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
SELF_MADE = trustme.CA().issue_cert("collector.example.net")
SERVED = b"".join(blob.bytes() for blob in SELF_MADE.cert_chain_pems)


def test_the_pin_is_of_the_key_of_the_first_certificate():
    """A renewed certificate with the same key keeps the pin; another key has another one."""
    pin = key_pin(SERVED)
    assert pin.startswith("sha256//")
    assert len(pin) == len(PIN)
    assert key_pin(SERVED + trustme.CA().cert_pem.bytes()) == pin
    assert key_pin(trustme.CA().issue_cert("collector.example.net").cert_chain_pems[0].bytes()) != pin


@pytest.mark.parametrize(
    "text", [b"", b"-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----", b"\xff" * 99]
)
def test_a_file_without_a_certificate_has_no_pin(text):
    """A wrong file is a ValueError, which the command shows in one line."""
    with pytest.raises(ValueError, match="PEM is expected"):
        key_pin(text)


def test_a_key_in_the_authoritys_file_is_never_served():
    """Only the certificates go out, in their order."""
    key = SELF_MADE.private_key_pem.bytes()
    assert certificates(key + SERVED + key).split() == SERVED.split()
    with pytest.raises(ValueError, match="BEGIN CERTIFICATE"):
        certificates(key)


def test_the_token_is_no_argument_of_any_process():
    """Of the words that start processes none holds the token: it is an assignment before one of them."""
    line = joining_line("https://collector.example.net:10990", "fsn-1", "to-ken", PIN)
    words = shlex.split(line)
    assert [word for word in words if "to-ken" in word] == ["LIGHTFLOOR_TOKEN=to-ken"]
    before = words[words.index("LIGHTFLOOR_TOKEN=to-ken") - 1]
    assert before == "&&"
    assert words[-3:] == ["https://collector.example.net:10990", "fsn-1", PIN]


def test_without_a_pin_the_authorities_of_the_server_decide():
    """A publicly trusted certificate is verified as always: -k stands in no line without a pin."""
    line = joining_line("https://collector.example.net", "fsn-1", "token", None)
    assert " -k " not in line
    assert "pinnedpubkey" not in line
