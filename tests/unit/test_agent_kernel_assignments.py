"""NAME=value files."""

import pytest

from agent.kernel.assignments import parse_assignments, parse_environ
from agent.kernel.parse_error import ParseError


def test_quotes_and_comments():
    """os-release's quoting is resolved; values that only look odd stay as they are."""
    text = b"# c\nNAME=\"Debian GNU/Linux\"\nID=debian\nHOME='a b'\nEMPTY=\nURL=https://x/?a=b\n"
    assert parse_assignments(text, "os-release") == {
        "NAME": "Debian GNU/Linux",
        "ID": "debian",
        "HOME": "a b",
        "EMPTY": "",
        "URL": "https://x/?a=b",
    }


@pytest.mark.parametrize("text", [b"nonsense\n", b"=x\n", b'A="unclosed\n', b"\xff=1\n"])
def test_malformed_names_its_source(text):
    """The error says which file it was."""
    with pytest.raises(ParseError, match="os-release"):
        parse_assignments(text, "os-release")


def test_environ_takes_any_bytes():
    """A process may set anything as its environment."""
    assert parse_environ(b"A=1\0B=\xff\0nonsense\0=x\0") == {"A": "1", "B": "\ufffd", "": "x"}
