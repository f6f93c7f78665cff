#!/usr/bin/python3 -sP
"""healthy PORT: exit status 0 where the program on that port of this container says it is healthy, by HTTP or by HTTPS."""

import http.client
import ssl
import sys

SECONDS = 4.0


def is_healthy(port: int) -> bool:
    """Whether GET /-/healthy answers 200, or 401 or 403: a program that wants a password or a certificate is alive."""
    anybody = ssl._create_unverified_context()  # noqa: S323, SLF001 - over loopback, to ourselves; the name in the certificate is another
    for connection in (
        http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS / 2),
        http.client.HTTPSConnection("127.0.0.1", port, timeout=SECONDS / 2, context=anybody),
    ):
        try:
            connection.request("GET", "/-/healthy")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            continue
        if status in {200, 401, 403}:
            return True
    return False


if __name__ == "__main__":
    sys.exit(0 if is_healthy(int(sys.argv[1])) else 1)
