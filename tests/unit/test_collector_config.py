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
