import json

from agent.kernel.tcp_socket import Retrans, Socket, to_json


def test_only_known_keys_are_printed_but_the_address_always():
    """A zero is printed, an unknown is not; state, local and remote are there even when unknown."""
    socket = Socket(state=None, local=None, remote=None, bytes_retrans=0, retrans=Retrans(now=0, total=0))
    assert json.loads(json.dumps(to_json(socket))) == {
        "state": None,
        "local": None,
        "remote": None,
        "bytes_retrans": 0,
        "retrans": {"now": 0, "total": 0},
    }
