import asyncio
import base64
import contextlib
import gzip
import html
import json
import logging
import re
import shutil
import ssl
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET

import aiohttp
import bcrypt
import msgspec
import pytest
import trustme
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from agent.net.collector import Collector
from agent.wire.batch import encode
from collector import app
from collector.standing import PathStanding
from collector.timeline import PathTimeline
from tests.batches import MS, batch, series, window
from tests.small_fleet import FLEET, configured, fill

NOW = 0
"""The minute in which the test began, at whose end its data ends."""


@pytest.fixture(autouse=True)
def of_this_minute(monkeypatch):
    """Not of the minute in which this file was read: before a test's turn comes, an hour's window may have moved on."""
    monkeypatch.setattr(sys.modules[__name__], "NOW", int(time.time()) // 60 * 60)


def windows(count=120):
    """The last two hours of ams → fra, and a few minutes of ams → nyc beyond its limit."""
    near = [window(start_s=NOW - 60 * i, values_ns=[7 * MS] * 6, limit_ns=12 * MS) for i in range(1, count)]
    far = [
        window(series(destination="nyc"), NOW - 60 * i, [290 * MS] * 6, 122 * MS, lost=1)
        for i in range(1, count)
    ]
    return near + far


class Client:
    def __init__(self, url, session, parts, token):
        self.url, self.session, self.parts, self.token = url, session, parts, token

    async def get(self, path, **headers):
        async with self.session.get(self.url + path, headers=headers) as response:
            return response.status, await response.text(), response.headers


@contextlib.asynccontextmanager
async def serving(tmp_path, batches=None, tls=None, **files):
    config = configured(tmp_path, **files)
    token = fill(config.store.path, [batch(windows())] if batches is None else batches, NOW)
    async with app.running(config) as (parts, addresses), aiohttp.ClientSession() as session:
        async with asyncio.timeout(20):
            while parts.standing.latest is None:
                await asyncio.sleep(0.01)
        yield Client(f"{'https' if tls else 'http'}://{addresses[0]}", session, parts, token)


async def test_the_matrix_shows_verdict_and_ratio_and_leads_to_the_path(tmp_path):
    """Every path of the fleet is a cell with its verdict in words, its ratio, and a link that works."""
    async with serving(tmp_path) as client:
        status, page, headers = await client.get("/")
        assert status == 200
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert len(re.findall(r'<td class="v-', page)) == 6
        assert re.search(r'class="v-pass t\d[^"]*"><a href="/path/ams/fra"', page)
        assert re.search(r'class="v-fail t4[^"]*"><a href="/path/ams/nyc"', page)
        assert page.count('class="v-no_data') >= 4
        assert "<script" not in page
        for link in set(re.findall(r'href="(/[^"]*)"', page)):
            assert (await client.get(link.replace("&amp;", "&")))[0] == 200


async def test_silent_and_never_heard_agents_are_named(tmp_path):
    """Who has stopped sending, and who has never begun, is on the first page."""
    old = [window(start_s=NOW - 7200)]
    async with serving(tmp_path, [batch(old)]) as client:
        connection = client.parts.database._writer
        connection.submit(lambda c: c.execute("UPDATE node SET last_batch_s = ?", (NOW - 4000,))).result(5)
        await client.parts.standing.refresh()
        page = (await client.get("/"))[1]
        assert re.search(r"Silent agents:</b> ams", page)
        assert re.search(r"Never heard:</b> fra, nyc", page)


async def test_a_path_page_shows_its_chart_its_numbers_and_how_they_came(tmp_path):
    """The chart is part of the page, every range works, and the JSON twin is the same answer."""
    async with serving(tmp_path) as client:
        for chosen in ("1h", "24h", "7d", "30d"):
            status, page, _ = await client.get(f"/path/ams/nyc?range={chosen}")
            assert status == 200
            assert "unachievable" in page
        svg = ET.fromstring(
            re.search(r"<svg viewBox=.*?</svg>", page.split('class="chart"')[1], re.DOTALL)[0]
        )
        assert {element.get("class") for element in svg} >= {"p50", "p99", "limit", "floor", "loss", "grid"}
        assert "timed by the source's kernel" in html.unescape(page)
        assert "× 1.468 ÷ c" in page
        twin = re.search(r'href="(/v1/paths/ams/nyc[^"]*)"', page)[1].replace("&amp;", "&")
        answer = msgspec.json.decode((await client.get(twin))[1], type=PathTimeline)
        assert answer.standing[0].verdict == "FAIL"
        assert sum(point.lost for point in answer.series[0].points) == 119


async def test_a_path_without_data_says_so(tmp_path):
    """No data is words, not an empty chart; a path of unknown nodes is not found."""
    async with serving(tmp_path) as client:
        status, page, _ = await client.get("/path/fra/nyc")
        assert status == 200
        assert "No data in this period" in page
        assert '<svg viewBox="0 0 960' not in page
        status, page, _ = await client.get("/path/fra/%3Cscript%3E")
        assert status == 404
        assert "<script>" not in page
        assert (await client.get("/path/ams/fra?range=9y"))[0] == 400


async def test_the_api_gives_what_the_command_prints(tmp_path, capsys):
    """GET /v1/sla and `sla --json` are the same objects for the same period."""
    from collector.cli import main

    async with serving(tmp_path) as client:
        query = f"from={NOW - 3600}&to={NOW}"
        assert (await client.get(f"/v1/sla?{query}"))[0] == 400
        start, end = "-60m", "now"
        status, body, _ = await client.get(f"/v1/sla?from={start}&to={end}")
        assert status == 200
        rows = msgspec.json.decode(body, type=list[PathStanding])
        config = str(tmp_path / "collector.toml")
        arguments = [
            "sla",
            "--json",
            "--config.file",
            config,
            "--from",
            rows[0].period_start,
            "--to",
            rows[0].period_end,
        ]
        assert await asyncio.to_thread(main, arguments) == 0
        assert msgspec.json.decode(capsys.readouterr().out, type=list[PathStanding]) == rows
        assert {(row.source, row.destination): row.verdict for row in rows}[("ams", "fra")] == "PASS"


async def test_a_posted_batch_is_in_the_answer_at_once(tmp_path):
    """From POST to verdict there is no waiting for a roll-up."""
    async with serving(tmp_path, []) as client:
        each = window(start_s=NOW - 120, values_ns=[7 * MS] * 6, limit_ns=12 * MS)
        headers = {"Authorization": f"Bearer {client.token}"}
        async with client.session.post(
            f"{client.url}/v1/batches", data=encode(batch([each])), headers=headers
        ) as answer:
            assert answer.status == 200
        rows = msgspec.json.decode((await client.get("/v1/sla?from=-1h"))[1], type=list[PathStanding])
        assert [row.samples for row in rows if row.destination == "fra"] == [6, 0]


async def test_budgets_are_asked_for_by_path_and_time_zone(tmp_path):
    """The month is that of the zone asked for; a zone that is none, and half a path, are refused in words."""
    async with serving(tmp_path) as client:
        status, text, _ = await client.get("/v1/budget?source=ams&destination=nyc&tz=Asia/Shanghai")
        (row,) = json.loads(text)
        rolling, month = row["budgets"]
        assert (status, row["state"], rolling["remaining_ratio"]) == (200, "measured", pytest.approx(-99))
        assert month["period_start"].endswith("T16:00:00Z")
        assert [burn["burning"] for burn in row["burns"]] == [True] * 4
        everything = json.loads((await client.get("/v1/budget"))[1])
        assert [r["state"] for r in everything].count("silent") == 4
        page = (await client.get("/path/ams/nyc"))[1]
        assert page.count("<td>burns</td>") == 4
        assert "Burning budgets:" in (await client.get("/"))[1]
        for query, words in (("tz=Moon", "no time zone"), ("source=ams", "given together")):
            status, text, _ = await client.get(f"/v1/budget?{query}")
            assert (status, words in json.loads(text)["detail"]) == (400, True)


async def test_metrics_parse_in_both_formats_and_say_how_each_path_stands(tmp_path):
    """Prometheus' own parsers take the page; path gauges carry the figures of the standing."""
    async with serving(tmp_path) as client:
        _, text, headers = await client.get("/metrics")
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        families = {family.name: family for family in text_string_to_metric_families(text)}
        accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
        _, text, headers = await client.get("/metrics", Accept=accept)
        assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        strict = {family.name: family for family in openmetrics.text_string_to_metric_families(text)}
        for found in (families, strict):
            values = {
                tuple(sample.labels.values()): sample.value
                for sample in found["lightfloor_sla_p99_seconds"].samples
            }
            assert values["ams", "fra", "tcp", "ipv4"] == pytest.approx(0.007)
            assert ("fra", "ams", "tcp", "ipv4") not in values
            verdicts = [sample.labels["verdict"] for sample in found["lightfloor_sla_verdict"].samples]
            assert sorted(verdicts) == ["FAIL"] + ["NO_DATA"] * 4 + ["PASS"]
            budget = {
                (sample.labels["destination"], sample.labels["period"]): sample.value
                for sample in found["lightfloor_sla_budget_remaining_ratio"].samples
            }
            left = {"fra": 1.0, "nyc": pytest.approx(-99)}
            assert budget == {(name, period): left[name] for name in left for period in ("30d", "month")}
            rates = {
                (sample.labels["destination"], sample.labels["window"]): sample.value
                for sample in found["lightfloor_sla_burn_rate"].samples
            }
            assert (rates["fra", "1h"], rates["nyc", "3d"]) == (0.0, pytest.approx(100))
            burning = {s.labels["destination"]: s.value for s in found["lightfloor_sla_burning"].samples}
            assert burning == {"fra": 0.0, "nyc": 1.0}
            silent = {(*s.labels.values(),)[:2]: s.value for s in found["lightfloor_sla_silent"].samples}
            assert [pair for pair, value in silent.items() if not value] == [("ams", "fra"), ("ams", "nyc")]
            assert len(silent) == 6
        assert "process_resident_memory_bytes" in families
        assert families["lightfloor_store_writable"].samples[0].value == 1
        assert families["lightfloor_node_last_batch_timestamp_seconds"].samples[0].value == NOW
        about = [sample.labels for sample in families["lightfloor_node_info"].samples]
        assert {"node": "ams", "provider": "alpha", "site": "amsterdam", "region": "eu"} in about


@pytest.mark.debian
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
async def test_promtool_has_nothing_to_say_of_the_metrics(tmp_path):
    """Names, units and types follow Prometheus' own rules."""
    async with serving(tmp_path) as client:
        text = (await client.get("/metrics"))[1]
    checked = await asyncio.to_thread(
        subprocess.run, ["promtool", "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


async def test_a_changed_fleet_is_taken_and_a_wrong_one_is_not(tmp_path, caplog):
    """Reload swaps the whole fleet or leaves it; which of both shows in the answer, the log and the metrics."""
    async with serving(tmp_path) as client:

        async def reload():
            async with client.session.post(client.url + "/-/reload") as response:
                return response.status, await response.text()

        headers = {"Authorization": f"Bearer {client.token}"}
        before = await client.get("/v1/assignment", **headers)
        (tmp_path / "fleet.toml").write_text(FLEET.replace("multiplier = 2.0", "multiplier = 0.5"))
        status, text = await reload()
        assert status == 400
        assert "classes[0].multiplier" in text
        assert "lightfloor_config_last_reload_successful 0.0" in (await client.get("/metrics"))[1]
        assert (await client.get("/v1/assignment", **headers))[1] == before[1]
        (tmp_path / "fleet.toml").write_text(FLEET.replace("multiplier = 2.0", "multiplier = 3.0"))
        assert (await reload())[0] == 200
        assert "lightfloor_config_last_reload_successful 1.0" in (await client.get("/metrics"))[1]
        after = await client.get("/v1/assignment", **headers)
        assert (after[1], after[2]["ETag"]) != (before[1], before[2]["ETag"])


async def test_wrong_requests_are_answered_in_one_line_and_bugs_do_not_leak(tmp_path, monkeypatch, caplog):
    """Programs get JSON with the reason; a bug gives 500, a line in the log and nothing about the inside."""
    async with serving(tmp_path) as client:
        for path, status in (
            ("/v1/nothing", 404),
            ("/v1/batches", 405),
            ("/v1/sla?from=never", 400),
            ("/v1/sla?from=now", 400),
        ):
            found, body, _ = await client.get(path)
            assert (found, list(msgspec.json.decode(body))) == (status, ["title", "status", "detail"])

        async def broken(question):
            raise RuntimeError("secret inside")

        monkeypatch.setattr(client.parts.database, "read", broken)
        caplog.set_level(logging.CRITICAL)
        status, body, _ = await client.get("/v1/sla?from=-1h")
        assert status == 500
        assert "secret" not in body


async def test_health_and_readiness_are_told_apart(tmp_path):
    """Alive from the first moment; ready when the first verdicts are there."""
    async with serving(tmp_path) as client:
        assert (await client.get("/-/healthy"))[0] == 200
        assert (await client.get("/-/ready"))[0] == 200
        client.parts.standing.latest = None
        assert (await client.get("/-/ready"))[0] == 503
        assert (await client.get("/"))[0] == 503


async def test_tls_is_served_where_it_is_configured(tmp_path):
    """With certificate and key in [server] the same port speaks HTTPS, and no plain HTTP; renewed ones are taken up."""
    authority = trustme.CA()

    def issue():
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
        (tmp_path / "cert.pem").write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
        return certificate.cert_chain_pems[0].bytes().decode()

    async def shown(url):
        port = int(url.rsplit(":", 1)[1])
        return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))

    first = issue()
    server = 'tls_cert = "cert.pem"\ntls_key = "key.pem"\n'
    async with serving(tmp_path, tls=True, server=server) as client:
        trusted = ssl.create_default_context()
        authority.configure_trust(trusted)
        async with client.session.get(client.url + "/-/healthy", ssl=trusted) as response:
            assert response.status == 200
        with pytest.raises(aiohttp.ClientError):
            await client.session.get(client.url.replace("https", "http") + "/-/healthy")
        assert await shown(client.url) == first
        second = issue()
        assert await client.parts.reload() is None
        assert await shown(client.url) == second


async def test_people_need_a_password_and_agents_their_token(tmp_path):
    """With a web configuration page, API and /metrics ask for a password; an agent's own paths ask for its token alone."""
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{op: {hashed}}}\n")
    async with serving(tmp_path, server='web_config_file = "web.yml"\n') as client:
        right = {"Authorization": "Basic " + base64.b64encode(b"op:secret").decode()}
        token = {"Authorization": f"Bearer {client.token}"}
        for path in ("/", "/metrics", "/v1/sla", "/v1/openapi.json", "/-/healthy", "/v1/nothing"):
            status, body, headers = await client.get(path, **token)
            assert status == 401
            assert headers["WWW-Authenticate"].startswith("Basic")
            assert "ams" not in body
        problem = msgspec.json.decode((await client.get("/v1/sla"))[1])
        assert problem["detail"].endswith("a name and its password are needed")
        assert (await client.get("/metrics", **right))[0] == 200
        assert (await client.get("/v1/sla", **right))[0] == 200
        assert (await client.get("/v1/assignment", **token))[0] == 200
        status, _, headers = await client.get("/v1/assignment", **right)
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        (tmp_path / "web.yml").write_text("basic_auth_users: {op: secret}\n")
        async with client.session.post(client.url + "/-/reload", headers=right) as response:
            assert response.status == 400
            assert "basic_auth_users" in await response.text()
        assert "lightfloor_config_last_reload_successful 0.0" in (await client.get("/metrics", **right))[1]


async def test_people_need_a_client_certificate_and_agents_do_not(tmp_path):
    """Where one is required, the page is refused without; a real agent's session with its pinned authority goes on."""
    authority, clients = trustme.CA(), trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    clients.cert_pem.write_to_path(tmp_path / "clients.pem")
    (tmp_path / "web.yml").write_text(
        "tls_server_config: {cert_file: cert.pem, key_file: cert.pem, client_ca_file: clients.pem,"
        " client_auth_type: RequireAndVerifyClientCert}\n"
    )
    async with serving(tmp_path, tls=True, server='web_config_file = "web.yml"\n') as client:

        async def page(context):
            authority.configure_trust(context)
            async with client.session.get(client.url, ssl=context) as response:
                return response.status

        assert await page(ssl.create_default_context()) == 403
        known = ssl.create_default_context()
        clients.issue_cert("operator.example").configure_cert(known)
        assert await page(known) == 200
        (tmp_path / "token").write_text(client.token)
        link = Collector(client.url, tmp_path / "token", str(tmp_path / "ca.pem"), 5)
        try:
            assert await link.get_assignment(None) is not None
            assert (
                await link.post_batch(gzip.compress(encode(batch([window(start_s=NOW - 60)], sequence=7))))
            )[0] == 200
        finally:
            await link.close()


async def test_a_port_in_use_ends_the_start_and_closes_the_store(tmp_path):
    """A collector that cannot listen says so and leaves nothing running."""
    async with serving(tmp_path) as client:
        port = client.url.rsplit(":", 1)[1]
        config = configured(tmp_path)
        taken = msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, port=int(port)))
        writers = sum(thread.name == "store-writer" for thread in threading.enumerate())
        with pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.1:.*in use"):
            async with app.running(taken):
                pass
        assert sum(thread.name == "store-writer" for thread in threading.enumerate()) == writers


async def test_the_configuration_in_force_can_be_read(tmp_path):
    """What a person changed and what is a default, as JSON; of certificates and keys the files' names alone."""
    async with serving(tmp_path) as client:
        status, text, headers = await client.get("/config")
        assert (status, headers["Content-Type"]) == (200, "application/json")
        shown = json.loads(text)
        assert shown["store"]["path"] == str(tmp_path / "store.db")
        assert shown["store"]["retention_days"] == {"minute": 14, "hour": 90, "day": 1095}
        assert client.token not in text
