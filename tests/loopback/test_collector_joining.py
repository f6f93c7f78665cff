import contextlib
import os

import aiohttp
import bcrypt
import msgspec
import trustme

from collector import app
from tests.small_fleet import configured


@contextlib.asynccontextmanager
async def client_of(tmp_path, server="", **settings):
    """A collector with this [enroll] table, and further lines of [server]."""
    config = configured(tmp_path, server=server)
    config = msgspec.structs.replace(config, enroll=msgspec.structs.replace(config.enroll, **settings))
    async with (
        app.running(config) as (_, addresses),
        aiohttp.ClientSession(f"http://{addresses[0]}") as session,
    ):
        yield session


async def answer(session, path):
    async with session.get(path) as response:
        return response.status, await response.read()


async def test_the_authority_is_served_as_the_file_is_now(tmp_path):
    """Certificates without the key beside them; a renewed file without a restart; a broken one says so."""
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.private_key_pem.bytes() + authority.cert_pem.bytes())
    async with client_of(tmp_path, ca_file=str(file)) as client:
        assert await answer(client, "/v1/ca.pem") == (200, authority.cert_pem.bytes())
        file.write_bytes(trustme.CA().cert_pem.bytes())
        assert (await answer(client, "/v1/ca.pem"))[1] == file.read_bytes()
        file.write_text("nothing")
        assert (await answer(client, "/v1/ca.pem"))[0] == 500


async def test_without_an_authority_of_its_own_there_is_none_to_fetch(tmp_path):
    """404 is how the script learns that the server's certificate is publicly trusted."""
    async with client_of(tmp_path) as client:
        assert (await answer(client, "/v1/ca.pem"))[0] == 404
        status, script = await answer(client, "/v1/install.sh")
        assert (status, script.rstrip().endswith(b'main "$@"')) == (200, True)


async def test_a_server_gets_the_newest_package_for_its_python_and_architecture(tmp_path):
    """The file put there last, never one for another system, nothing from outside the directory."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for age, name in enumerate(("0.2.0-1+py3.11_amd64", "0.1.0-1+py3.11_amd64", "0.3.0-1+py3.12_arm64")):
        file = packages / f"lightfloor-agent_{name}.deb"
        file.write_text(name)
        os.utime(file, (1000 - age, 1000 - age))
    async with client_of(tmp_path, packages=str(packages)) as client:
        asked = "/v1/packages/agent?python={}&architecture={}"
        assert await answer(client, asked.format("3.11", "amd64")) == (200, b"0.2.0-1+py3.11_amd64")
        assert await answer(client, asked.format("3.12", "arm64")) == (200, b"0.3.0-1+py3.12_arm64")
        assert (await answer(client, asked.format("3.12", "amd64")))[0] == 404
        assert (await answer(client, asked.format("*", "*")))[0] == 400
        assert (await answer(client, asked.format("3.11", "../../x")))[0] == 400


async def test_a_new_server_needs_no_password(tmp_path):
    """Where a web configuration asks everybody for one, what the joining line fetches is still there, and nothing else is."""
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users:\n  admin: {hashed}\n")
    async with client_of(tmp_path, 'web_config_file = "web.yml"') as client:
        assert (await answer(client, "/v1/install.sh"))[0] == 200
        assert (await answer(client, "/v1/ca.pem"))[0] == 404
        assert (await answer(client, "/v1/sla"))[0] == 401
