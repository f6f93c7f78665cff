"""`make run`: one collector and one agent on this machine, real probes, a live table in the terminal.

    python deploy/local.py [--here SITE] [HOST:PORT@SITE …]

Without targets the agent probes its own responder. SITE is an IATA code, a city, or LAT,LON; without one a path is
measured but has no floor. Everything lives under ./run/local and is kept between runs. Ctrl-C ends both.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HOME = Path("run/local")
REFRESH_SECONDS = 2.0


def main() -> int:
    """Run until Ctrl-C, SIGTERM, or until one of the two programs ends."""
    parser = argparse.ArgumentParser(description="One collector and one agent on this machine.")
    parser.add_argument("--here", metavar="SITE", help="where this machine is: FRA, a city, or LAT,LON")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end by itself after this long")
    parser.add_argument("targets", nargs="*", metavar="HOST:PORT@SITE")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    HOME.mkdir(parents=True, exist_ok=True)
    ports = {name: free_port(preferred) for name, preferred in PORTS.items()}
    try:
        write_configuration(arguments.here, arguments.targets, ports)
    except ValueError as error:
        print(f"make run: {error}", file=sys.stderr)
        return 2
    return run_both(ports["collector"], arguments.seconds)


PORTS = {"collector": 10990, "exporter": 10980, "responder": 10981}


def free_port(preferred: int) -> int:
    """The usual port, or any free one where it is taken."""
    for port in (preferred, 0):
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            return int(sock.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")


def write_configuration(here: str | None, targets: list[str], ports: dict[str, int]) -> None:
    """fleet.toml, collector.toml and agent.toml under HOME. Raises ValueError for a target that cannot be read."""
    nodes = [node("here", here, "127.0.0.1", ports["responder"])]
    for target in targets:
        address, _, site = target.partition("@")
        host, colon, port = address.rpartition(":")
        if not colon or not port.isdecimal() or not host:
            raise ValueError(
                f"{target}: expected HOST:PORT@SITE, as in 203.0.113.7:443@JFK or [2001:db8::7]:22@SIN"
            )
        name = "".join(c if c.isalnum() or c in ".-" else "-" for c in host.strip("[]")).strip("-.")
        nodes.append(node(f"{name}-{port}", site or None, host.strip("[]"), int(port)))
    if not targets:
        nodes.append(node("own-responder", here, "127.0.0.1", ports["responder"]))
    group = '[[groups]]\nname = "all"\nshape = "star"\nhub = "here"\nprobes = [{ kind = "tcp", interval_seconds = 0.5 }]\n'
    (HOME / "fleet.toml").write_text("".join(['[[providers]]\nname = "local"\n\n', *nodes, group]))
    (HOME / "collector.toml").write_text(
        f'[server]\naddress = "127.0.0.1"\nport = {ports["collector"]}\n\n'
        f'[store]\npath = "{HOME.resolve()}/store.db"\n\n[fleet]\npath = "{HOME.resolve()}/fleet.toml"\n'
    )
    (HOME / "agent.toml").write_text(
        f'node = "here"\nstate_directory = "{HOME.resolve()}/agent"\nwindow_seconds = 5\n\n'
        f'[collector]\nurl = "http://127.0.0.1:{ports["collector"]}"\ntoken_file = "{HOME.resolve()}/token"\n'
        f"assignment_interval_seconds = 5\n\n"
        f'[exporter]\nlisten_address = "127.0.0.1:{ports["exporter"]}"\n\n'
        f'[responder]\nlisten_address = "127.0.0.1:{ports["responder"]}"\n'
    )


def node(name: str, site: str | None, host: str, port: int) -> str:
    """A node of the fleet file with a site of its own."""
    place = ""
    if site is not None:
        latitude, comma, longitude = site.partition(",")
        if comma and is_number(latitude) and is_number(longitude):
            place = f"latitude = {float(latitude)}\nlongitude = {float(longitude)}\n"
        elif len(site) == 3 and site.isalpha():
            place = f'iata = "{site.upper()}"\n'
        else:
            place = f"city = {json.dumps(site)}\n"
    family = "ipv6" if ":" in host else "ipv4"
    return (
        f'[[sites]]\nname = "site-of-{name}"\n{place}\n'
        f'[[nodes]]\nname = "{name}"\nprovider = "local"\nsite = "site-of-{name}"\n'
        f"{family} = {json.dumps(host)}\nport = {port}\n\n"
    )


def is_number(text: str) -> bool:
    """Whether float() takes it."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def run_both(port: int, seconds: float) -> int:
    """Start the collector, enroll the node, start the agent, show the table until the end."""
    collector_toml = str(HOME / "collector.toml")
    checked = subprocess.run(
        [sys.executable, "-m", "collector", "check-config", collector_toml],
        check=False,
        stdout=subprocess.DEVNULL,
    )
    if checked.returncode:
        return checked.returncode
    log = (HOME / "log").open("ab")
    programs = [start("collector", "serve", "--config.file", collector_toml, log=log)]
    try:
        wait_for(f"http://127.0.0.1:{port}/-/healthy", programs[0])
        token = subprocess.run(
            [sys.executable, "-m", "collector", "enroll", "here", "--rotate", "--token-only", "--config.file", collector_toml],
            check=True, capture_output=True,
        ).stdout  # fmt: skip
        with os.fdopen(os.open(HOME / "token", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(token)
        programs.append(start("agent", "run", "--config.file", str(HOME / "agent.toml"), log=log))
        return show(port, programs, time.monotonic() + seconds)
    except KeyboardInterrupt:
        return 0
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"make run: {error}; see {HOME}/log", file=sys.stderr)
        return 1
    finally:
        for program in reversed(
            programs
        ):  # the agent first, so that its last windows still reach the collector
            program.terminate()
            program.wait(10)


def start(package: str, *arguments: str, log: object) -> "subprocess.Popen[bytes]":
    """One of our programs, out of the terminal's process group so that Ctrl-C ends both in order."""
    return subprocess.Popen(
        [sys.executable, "-m", package, *arguments], stdout=log, stderr=log, start_new_session=True
    )  # type: ignore[call-overload,no-any-return]


def wait_for(url: str, program: "subprocess.Popen[bytes]") -> None:
    """Return when url answers. Raises OSError when the program ends first or nothing answers in 15 s."""
    for _ in range(150):
        if program.poll() is not None:
            break
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=1).close()
            return
        time.sleep(0.1)
    raise OSError("the collector did not start")


def show(port: int, programs: "list[subprocess.Popen[bytes]]", until: float) -> int:
    """Redraw the table until told to stop; 1 when a program ended by itself."""
    page = f"http://127.0.0.1:{port}/"
    while time.monotonic() < until:
        if any(program.poll() is not None for program in programs):
            print(f"make run: a program ended; see {HOME}/log", file=sys.stderr)
            return 1
        try:
            minute = time.strftime(
                "%Y-%m-%dT%H:%MZ", time.gmtime(time.time() + 60)
            )  # this one's end: it counts already
            with urllib.request.urlopen(f"{page}v1/sla?from=-1h&to={minute}", timeout=5) as answer:
                document = json.load(answer)
        except (OSError, ValueError) as error:
            document = {"error": str(error)}
        clear = "\x1b[H\x1b[2J" if sys.stdout.isatty() else ""
        print(f"{clear}{table(document)}\n\npage {page}   logs {HOME}/log   Ctrl-C ends", flush=True)
        time.sleep(min(REFRESH_SECONDS, max(0.0, until - time.monotonic())))
    return 0


def table(document: object) -> str:
    """The verdict rows of the last hour as aligned text."""
    rows = document if isinstance(document, list) else []
    if not rows:
        return f"no window closed yet: {document.get('error', 'first results in about 10 s') if isinstance(document, dict) else 'first results in about 10 s'}"
    head = ("to", "family", "samples", "over", "loss", "P50", "P99", "floor", "limit", "P99/floor", "verdict")
    lines = [head, *(tuple(cells(row)) for row in rows if row.get("source") == "here")]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )


def cells(row: dict[str, object]) -> list[str]:
    """One path's figures; – where there is none."""

    def milliseconds(key: str) -> str:
        value = row.get(key)
        return f"{value * 1e3:.3f} ms" if isinstance(value, (int, float)) else "–"

    def number(key: str, form: str) -> str:
        value = row.get(key)
        return format(value, form) if isinstance(value, (int, float)) else "–"

    return [
        str(row["destination"]), str(row["family"]), number("samples", "d"), number("over_limit", "d"),
        number("loss_ratio", ".2%"), milliseconds("p50_seconds"), milliseconds("p99_seconds"),
        milliseconds("floor_seconds"), milliseconds("limit_seconds"), number("ratio_to_floor", ".2f"), str(row["verdict"]),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
