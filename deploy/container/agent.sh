#!/bin/sh
# The agent with raw sockets where the container has CAP_NET_RAW; without, the kernel refuses to start the interpreter
# that carries it, and the plain one runs: the probes syn and trace then say `unavailable`.
raw=/usr/lib/lightfloor-agent/python3-net-raw
"$raw" -c '' 2>/dev/null && exec "$raw" -sP /usr/bin/lightfloor-agent "$@"
exec /usr/bin/lightfloor-agent "$@"
