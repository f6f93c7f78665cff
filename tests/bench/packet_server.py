"""The far end for bench_packets: a listening TCP port and a STAMP reflector that answers anybody, without a rate limit."""

import asyncio
import sys

import uvloop

sys.path.insert(0, ".")

from agent.net.reflect import StampReflector
from agent.net.respond import Responder


async def main(port: int) -> None:
    Responder(None, port, 1e9)
    StampReflector(None, port, 1e9, None, lambda _address: True)
    await asyncio.Event().wait()


uvloop.run(main(int(sys.argv[1])))
