"""Reports as the API shows them: what was signed, whether it still is what was signed, and nothing outside."""

from dataclasses import dataclass

import pytest

from collector.api.operation import Access
from collector.api.reports import ReportParameters, ReportsApi, ReportsParameters, entries_in
from collector.problem import ProblemError
from collector.report.folder import signing_key, write_folder


@dataclass
class Signed:
    """What of a Report goes into its manifest."""

    provider: str
    month: str
    format: int = 1
    zone: str = "UTC"
    raw_rows: int = 3
    raw_sha256: str = "00"


@pytest.fixture
def directory(tmp_path):
    key = signing_key(tmp_path / "key.pem")
    place = tmp_path / "reports"
    for name, provider, month in (
        ("a-09", "alpha", "2026-09"),
        ("b-10", "beta", "2026-10"),
        ("a-10", "alpha", "2026-10"),
    ):
        write_folder(place / name, {"report.html": b"<p>", "paths.csv": b"x"}, Signed(provider, month), key)
    (place / "notes").mkdir()
    (place / "loose.txt").write_text("x")
    (place / "broken").mkdir()
    (place / "broken" / "manifest.json").write_text("{")
    return place


async def test_reports_are_listed_newest_first_and_by_provider_and_month(directory):
    """Folders without a readable manifest are none; each file has its size and the digest that was signed."""
    api = ReportsApi(directory)
    found = await api.reports(ReportsParameters())
    assert [entry.name for entry in found] == ["a-10", "b-10", "a-09"]
    assert [e.name for e in await api.reports(ReportsParameters(provider="alpha"))] == ["a-10", "a-09"]
    assert [e.name for e in await api.reports(ReportsParameters(month="2026-09"))] == ["a-09"]
    files = {file.name: file for file in found[0].files}
    assert files["paths.csv"].bytes == 1
    assert len(files["paths.csv"].sha256) == 64
    assert files["manifest.sig"].sha256 is None


async def test_a_changed_report_is_not_genuine(directory):
    """One byte in one file, and the answer says which."""
    api = ReportsApi(directory)
    assert (await api.report(ReportParameters(name="a-10"))).genuine
    (directory / "a-10" / "paths.csv").write_bytes(b"y")
    checked = await api.report(ReportParameters(name="a-10"))
    assert (checked.genuine, checked.problem) == (False, "paths.csv: was changed after it was signed")


@pytest.mark.parametrize("name", ["nothing", "notes", "broken", "..", "."])
async def test_what_is_no_report_is_not_found(directory, name):
    """Also names that lead elsewhere."""
    with pytest.raises(ProblemError, match="no report") as refused:
        await ReportsApi(directory).report(ReportParameters(name=name))
    assert refused.value.status == 404


async def test_without_a_directory_there_are_none(tmp_path):
    """Not configured, or not made yet: an empty list."""
    assert await ReportsApi(None).reports(ReportsParameters()) == []
    assert entries_in(tmp_path / "later") == []


def test_reports_are_for_whom_the_web_configuration_lets_in():
    """None of them is exempt from it."""
    assert {operation.access for operation in ReportsApi(None).operations()} == {Access.WEB}
