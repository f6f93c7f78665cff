"""Holds N established loopback TCP sockets in this namespace: prints "ready", keeps them until standard input ends.

A tenth of them has sent something. N counts both ends of each connection.
"""

import resource
import socket
import sys


def main():
    count, port = int(sys.argv[1]), int(sys.argv[2])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = []
    with socket.create_server(("127.0.0.1", port), backlog=4096) as server:
        for number in range(count // 2):
            client = socket.create_connection(("127.0.0.1", port))
            accepted, _ = server.accept()
            held += [client, accepted]
            if number % 10 == 0:
                client.send(bytes(200))
    print("ready", flush=True)
    sys.stdin.read()


main()
