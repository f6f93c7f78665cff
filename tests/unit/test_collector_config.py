"""collector.toml."""

import pytest

from agent.wire.settings import ConfigError
from collector.config import parse_config, read_config


def test_an_empty_file_is_the_documented_default():
    """Loopback, port 10990, 14 / 90 / 1095 days."""
    config = parse_config("", "collector.toml")
    assert (config.server.address, config.server.port) == ("127.0.0.1", 10990)
    days = config.store.retention_days
    assert (days.minute, days.hour, days.day) == (14, 90, 1095)


def test_paths_are_taken_from_the_files_own_directory(tmp_path):
    """The working directory of the service does not matter; an absolute path stays."""
    path = tmp_path / "collector.toml"
    path.write_text('[store]\npath = "/var/x.db"\n[server]\ntls_cert = "c.pem"\ntls_key = "k.pem"\n')
    config = read_config(path)
    assert config.store.path == "/var/x.db"
    assert config.fleet.path == str(tmp_path / "fleet.toml")
    assert (config.server.tls_cert, config.server.tls_key) == (
        str(tmp_path / "c.pem"),
        str(tmp_path / "k.pem"),
    )


def test_a_file_that_is_no_text_is_one_error(tmp_path):
    """Named with the byte that is wrong."""
    path = tmp_path / "collector.toml"
    path.write_bytes(b"# ok\n\xff")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 5"):
        read_config(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path)


def test_the_port_is_protected_by_the_web_configuration_or_the_two_files(tmp_path):
    """Names are taken from each file's own directory; a web configuration that cannot be used is said by check-config."""
    path = tmp_path / "collector.toml"
    path.write_text('[server]\ntls_cert = "c.pem"\ntls_key = "k.pem"\n')
    tls = read_config(path).server.web_config().tls_server_config
    assert (tls.cert_file, tls.key_file) == (str(tmp_path / "c.pem"), str(tmp_path / "k.pem"))
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/web.yml").write_text("tls_server_config: {cert_file: c.pem, key_file: k.pem}\n")
    path.write_text('[server]\nweb_config_file = "etc/web.yml"\n')
    server = read_config(path).server
    assert server.web_config().tls_server_config.cert_file == str(tmp_path / "etc/c.pem")
    with pytest.raises(ConfigError, match=r"web\.yml: tls_server_config\.cert_file: .*c\.pem cannot be read"):
        server.check_web_config()
    path.write_text("")
    assert read_config(path).server.web_config().tls_server_config is None
