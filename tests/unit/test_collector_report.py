"""A provider's month: figures, pages in both languages, a folder that shows every change, and the same bytes twice."""

import json
import re
import shutil
import subprocess

import pytest

from collector.cli import main
from collector.fleet import parse_fleet
from collector.report import pages
from collector.report.document import EmptyReportError, report_of
from collector.report.folder import NotGenuineError, files_of, verify
from collector.report.month import parse_month
from collector.report.tables import tables_of
from collector.report.words import FONTS, TEXTS, VERDICTS
from collector.store.schema import open_reader
from tests.histories import DAY_S, fleet_text, write_history

OCTOBER = parse_month("2025-10", "UTC")
NODES = {
    "fra-1": ("alpha", "fra"),
    "nyc-1": ("alpha", "nyc"),
    "sin-1": ("beta", "sin"),
    "hkg-1": ("gamma", "hkg"),
}
SITES = {
    "fra": ("eu", 50.1, 8.7),
    "nyc": ("us", 40.7, -74.0),
    "sin": ("asia", 1.35, 103.8),
    "hkg": ("asia", 22.3, 114.2),
}
TEXT = (
    fleet_text(NODES, ("alpha", "beta", "gamma", "idle"), SITES)
    + """
[[classes]]
name = "gold"
loss_ratio_max = 0.05
[[applications]]
class = "gold"
provider = "alpha"
[[maintenance]]
start = 2025-10-12T01:00:00Z
end = 2025-10-12T03:00:00Z
reason = "router"
nodes = ["fra-1"]
"""
)


def faults(source, destination, hour):
    """fra → sin is slow in the second half of the month; nyc is robbed of CPU on one day; hkg is away for two."""
    if (source, destination) == ("fra-1", "sin-1") and hour >= 15 * 24:
        return 1.9, 0.0, {}
    if source == "nyc-1" and hour // 24 == 5:
        return 1.0, 0.0, {"steal_ratio": 0.3}
    if source == "hkg-1" and hour // 24 in (20, 21):
        return None, 0.0, {}
    return 1.0, 0.0005, {}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A collector's files with a month in its store."""
    folder = tmp_path_factory.mktemp("collector")
    (folder / "fleet.toml").write_text(TEXT)
    (folder / "collector.toml").write_text('[store]\npath = "store.db"\n')
    write_history(
        folder / "store.db", parse_fleet(TEXT, "fleet.toml"), OCTOBER.period.start_s, 31, faults=faults
    )
    return folder


@pytest.fixture(scope="module")
def report(home):
    connection = open_reader(home / "store.db")
    yield report_of(connection, parse_fleet(TEXT, "fleet.toml"), "alpha", OCTOBER, OCTOBER.period.end_s)
    connection.close()


def run(home, capsys, *words):
    status = main(("report", *words, "--config.file", str(home / "collector.toml")))
    said = capsys.readouterr()
    return status, said.out, said.err


def path(report, source, destination):
    (found,) = [p for p in report.paths if (p.row.source, p.row.destination) == (source, destination)]
    return found


def test_it_holds_the_providers_paths_and_no_others(report):
    """Both directions of every path with an end at the provider; which are wholly its own is said."""
    pairs = {(p.row.source, p.row.destination) for p in report.paths}
    assert len(pairs) == 10
    assert ("sin-1", "hkg-1") not in pairs
    assert {(p.row.source, p.row.destination) for p in report.paths if p.within} == {
        ("fra-1", "nyc-1"),
        ("nyc-1", "fra-1"),
    }
    assert {score.group for score in report.providers} == {"alpha", "beta", "gamma"}
    assert report.complete


def test_a_path_that_became_slow_fails_and_its_days_show_when(report):
    """Half a month over the limit is FAIL; every day has its own P99; a day away has none."""
    slow = path(report, "fra-1", "sin-1")
    assert slow.row.verdict.value == "FAIL"
    first, last = slow.days[2], slow.days[-2]
    assert first.p99_seconds < slow.row.limit_seconds < last.p99_seconds
    assert slow.budget.remaining_ratio < 0
    away = path(report, "hkg-1", "fra-1")
    assert len({day.start_s for day in away.days}) == 29
    summary = pages.summary(report, "en")
    assert any(line.startswith("Worst path: fra-1 → sin-1, P99") for line in summary)


def test_incidents_stand_in_it_with_their_cause(report):
    """The path that became slow is one incident, blamed on its direction, in both languages and in the CSV."""
    (slow,) = report.incidents
    assert (slow.kind, slow.cause.kind, slow.cause.name) == ("latency", "direction", "fra-1 → sin-1")
    assert (slow.start_s, slow.end_s) == (OCTOBER.period.start_s + 15 * DAY_S, None)
    (step,) = report.steps
    assert (step.cause.name, step.time) == ("fra-1 → sin-1", "2025-10-16T00:00:00Z")
    assert "direction fra-1 → sin-1" in pages.html(report, "en")
    assert "单方向 fra-1 → sin-1" in pages.html(report, "zh")
    table = files_of(report, {})["incidents.csv"].decode()
    assert [line.split(",")[0] for line in table.splitlines()] == ["id", slow.id]


def test_what_does_not_count_is_listed_with_reason_and_length(report):
    """A robbed host's minutes and announced work stand in the list, each with its minutes."""
    disturbed = {(e["source"], e["reason"]): e["minutes"] for e in pages._disturbed(report)}
    assert disturbed == {("nyc-1", "steal_ratio"): 24 * 3}
    (work,) = pages._announced(report)
    assert (work["window"].reason, work["paths"], work["minutes"]) == ("maintenance: router", 6, 120 * 6)
    assert sum(hour.judged for hour in report.week) == sum(p.budget.judged for p in report.paths)
    quiet = path(report, "fra-1", "nyc-1")
    assert quiet.row.minutes == 31 * 24 - 2
    assert sum(day.judged for day in quiet.days) == quiet.budget.judged == quiet.row.samples


def test_a_change_of_contract_is_told_version_by_version(home):
    """Page and CSV list each version with its own time, limit and verdict; the budget is what both allow."""
    stricter = 'name = "gold"\nloss_ratio_max = 0.05\n'
    change = "2025-10-20T00:00:00Z"
    text = TEXT.replace(
        stricter,
        f'{stricter}valid_until = {change}\n[[classes]]\nname = "gold"\nobjective = 0.9\nvalid_from = {change}\n',
    )
    connection = open_reader(home / "store.db")
    report = report_of(connection, parse_fleet(text, "fleet.toml"), "alpha", OCTOBER, OCTOBER.period.end_s)
    connection.close()
    slow = path(report, "fra-1", "sin-1")
    assert [(v.period_start[:10], v.verdict.value) for v in slow.row.versions] == [
        ("2025-10-01", "FAIL"),
        ("2025-10-20", "UNACHIEVABLE"),
    ]
    first, second = (v.proof.samples for v in slow.row.versions)
    assert slow.budget.allowed == pytest.approx(0.01 * first + 0.1 * second)
    listed = tables_of(report)["contract_versions.csv"].decode().splitlines()
    assert len(listed) == 1 + 2 * sum(bool(p.row.versions) for p in report.paths)
    for language, title in (("en", "Changes of contract"), ("zh", "合同变更")):
        assert title in pages.html(report, language)


def test_the_week_is_the_local_one(home, report):
    """Evenings are counted in the hours of the report's zone; the totals stay the same."""
    connection = open_reader(home / "store.db")
    shanghai = report_of(
        connection, parse_fleet(TEXT, "fleet.toml"), "alpha", parse_month("2025-10", "Asia/Shanghai"), 2**33
    )
    connection.close()
    assert shanghai.period_end_s - shanghai.period_start_s == 31 * DAY_S
    assert report.period_start_s - shanghai.period_start_s == 8 * 3600
    assert abs(sum(h.judged for h in shanghai.week) - sum(h.judged for h in report.week)) < 0.02 * sum(
        h.judged for h in report.week
    )


@pytest.mark.parametrize(("zone", "hours"), [("Europe/Berlin", 31 * 24 + 1), ("UTC", 31 * 24)])
def test_a_month_has_its_zones_hours(zone, hours):
    """In October Berlin's clocks go back: the month is an hour longer."""
    period = parse_month("2025-10", zone).period
    assert (period.end_s - period.start_s) // 3600 == hours


@pytest.mark.parametrize(
    "wrong", [("2025-13", "UTC"), ("october", "UTC"), ("2025-10", "Mars/Base"), ("1960-01", "UTC")]
)
def test_a_wrong_month_or_zone_says_what_is_right(wrong):
    """One line, no traceback."""
    with pytest.raises(ValueError, match=r"is no month|is no time zone|before 1970"):
        parse_month(*wrong)


def test_both_languages_are_complete():
    """Every text stands in both, with the same placeholders, and every verdict has a name."""
    for key, english in TEXTS["en"].items():
        assert sorted(re.findall(r"{\w+}", english)) == sorted(re.findall(r"{\w+}", TEXTS["zh"][key])), key
    assert TEXTS["en"].keys() == TEXTS["zh"].keys()
    assert VERDICTS["en"].keys() == VERDICTS["zh"].keys()
    assert FONTS.keys() == TEXTS.keys()


def test_the_folder_is_the_same_twice_and_every_change_shows(home, capsys, tmp_path):
    """Made again from the same data each file has the same bytes; a changed, missing or added file is found."""
    words = ("--provider", "alpha", "--month", "2025-10", "--lang", "zh", "--tz", "Asia/Shanghai")
    for name in ("one", "two"):
        status, out, _ = run(home, capsys, *words, "--out", str(tmp_path / name))
        assert status == 0
        assert "最差路径" in out
    one, two = ({f.name: f.read_bytes() for f in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert [name for name in one if one[name] != two[name]] == []
    assert (home / "report-key.pem").stat().st_mode & 0o777 == 0o600
    assert json.loads(one["manifest.json"])["files"].keys() >= {
        "report.html",
        "report.json",
        "paths.csv",
        "days.csv",
        "incidents.csv",
    }
    assert run(home, capsys, "--verify", str(tmp_path / "one"))[:1] == (0,)
    assert (
        run(
            home,
            capsys,
            "--verify",
            str(tmp_path / "one"),
            "--public-key",
            str(tmp_path / "two/public-key.pem"),
        )[0]
        == 0
    )
    (tmp_path / "one/paths.csv").write_bytes(one["paths.csv"].replace(b"FAIL", b"PASS"))
    status, out, _ = run(home, capsys, "--verify", str(tmp_path / "one"))
    assert (status, "paths.csv: was changed" in out) == (1, True)
    (tmp_path / "two/extra.txt").write_text("x")
    with pytest.raises(NotGenuineError, match=r"extra\.txt"):
        verify(tmp_path / "two")
    (tmp_path / "two/extra.txt").unlink()
    (tmp_path / "two/manifest.json").write_bytes(one["manifest.json"].replace(b"alpha", b"betaa"))
    with pytest.raises(NotGenuineError, match="signature"):
        verify(tmp_path / "two")


def test_the_pdf_has_its_pages_and_its_chinese(home, capsys, tmp_path):
    """The PDF's text is the report's, searchable, in Chinese too."""
    pytest.importorskip("weasyprint")
    if shutil.which("pdftotext") is None:
        pytest.skip("needs pdftotext (Debian package poppler-utils)")
    run(
        home,
        capsys,
        "--provider",
        "alpha",
        "--month",
        "2025-10",
        "--lang",
        "zh",
        "--out",
        str(tmp_path / "r"),
    )
    made = tmp_path / "r/report.pdf"
    if not made.exists():
        pytest.skip("no PDF can be made here")
    text = subprocess.run(["pdftotext", "-layout", made, "-"], capture_output=True, text=True).stdout
    assert "fra-1" in text
    if pages.pdf((tmp_path / "r/report.html").read_text()).has_chinese_font:
        assert "网络报告" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--provider", "delta", "--month", "2025-10", "--out", "x"),
            "no provider is called delta; known: alpha, beta, gamma, idle",
        ),
        (
            ("--provider", "idle", "--month", "2025-10", "--out", "x"),
            "nothing was measured on the paths of idle in 2025-10",
        ),
        (("--provider", "alpha", "--month", "2025-1", "--out", "x"), "'2025-1' is no month; 2026-10 is"),
        (("--provider", "alpha", "--month", "2025-10"), "report needs --out, or --verify DIR"),
        (("--provider", "alpha", "--month", "2025-10", "--out", "/proc/none/x"), "No such file"),
        (("--verify", "/nowhere"), "/nowhere/manifest.json: No such file or directory"),
    ],
)
def test_what_cannot_be_made_is_one_line(home, capsys, monkeypatch, tmp_path, words, said):
    """Status 2, what is wrong and what would be right, and no folder."""
    monkeypatch.chdir(tmp_path)
    status, out, err = run(home, capsys, *words)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_never_overwritten(home, capsys, tmp_path):
    """Not even an empty one."""
    status, _, err = run(home, capsys, "--provider", "alpha", "--month", "2025-10", "--out", str(tmp_path))
    assert (status, list(tmp_path.iterdir())) == (2, [])
    assert "exists already" in err


def test_a_month_without_data_is_an_error(home):
    """No empty report is made that could be taken for a good one."""
    connection = open_reader(home / "store.db")
    with pytest.raises(EmptyReportError):
        report_of(connection, parse_fleet(TEXT, "fleet.toml"), "alpha", parse_month("2024-02", "UTC"), 0)
    connection.close()
