"""Every file in tests/fixtures/config_bad is refused with exactly the message in its first line."""

from pathlib import Path

import pytest

from agent.wire.settings import ConfigError
from collector.config import parse_config
from collector.fleet import parse_fleet

FILES = sorted((Path(__file__).resolve().parents[1] / "fixtures/config_bad").glob("*.toml"))
PARSERS = {"fleet": parse_fleet, "collector": parse_config}


@pytest.mark.parametrize(
    "path", [f for f in FILES if f.stem.partition("_")[0] in PARSERS], ids=lambda p: p.stem
)
def test_a_bad_file_gives_its_one_line(path):
    """Whoever wrote the file learns in one line what is wrong, where, and what would be right."""
    text = path.read_text()
    expected = text.splitlines()[0].removeprefix("# ")
    with pytest.raises(ConfigError) as refused:
        PARSERS[path.stem.partition("_")[0]](text, path.name)
    assert str(refused.value) == expected


def test_there_are_bad_files():
    """The folder was found."""
    assert len(FILES) > 40
