"""GET /v1/reports: the signed folders that `report` made into the configured directory."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
from aiohttp import web

from agent.wire.series import Name
from collector.api.operation import Operation, Paging, Parameters, get, parameters_of
from collector.problem import ProblemError
from collector.report.folder import MANIFEST, PUBLIC_KEY, SIGNATURE, NotGenuineError, verify

NOT_THERE = {404: "no report has this name"}
Month = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]


class Manifest(msgspec.Struct, frozen=True):
    """What of a report's manifest.json is shown. files: name → SHA-256."""

    provider: str
    month: str
    zone: str
    files: dict[str, str]


class ReportFile(msgspec.Struct, frozen=True):
    """One file of a report. sha256: as signed; null for the manifest, its signature and the public key."""

    name: str
    bytes: int
    sha256: str | None


class ReportEntry(msgspec.Struct, frozen=True):
    """One report, by its manifest. name: of its folder."""

    name: str
    provider: str
    month: str
    zone: str
    files: tuple[ReportFile, ...]


class CheckedReport(msgspec.Struct, frozen=True):
    """genuine: nothing was changed since it was signed; by whom, tells public-key.pem. problem: what was changed."""

    report: ReportEntry
    genuine: bool
    problem: str | None


class ReportsParameters(Paging, frozen=True, kw_only=True):
    """Of all reports, or of one provider's or one month's."""

    provider: Name | None = None
    month: Month | None = None


class ReportParameters(Parameters, frozen=True, kw_only=True):
    """One report."""

    name: Name


class FileParameters(Parameters, frozen=True, kw_only=True):
    """One file of a report."""

    name: Name
    file: Name


class ReportsApi:
    """directory: where the reports' folders are; None: none is configured, and none is listed."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def operations(self) -> list[Operation]:
        """For the API."""
        return [
            get("/v1/reports", "Every report", ReportsParameters, list[ReportEntry], self.reports),
            get(
                "/v1/reports/{name}",
                "One report, checked against its signature",
                ReportParameters,
                CheckedReport,
                self.report,
                NOT_THERE,
            ),
            Operation(
                method="GET",
                path="/v1/reports/{name}/{file}",
                summary="One file of a report, as it was signed",
                handler=self.get_file,
                parameters=FileParameters,
                media="application/octet-stream",
                refusals={404: "no report has this name, or no such file"},
            ),
        ]

    async def reports(self, asked: ReportsParameters) -> list[ReportEntry]:
        """Newest month first."""
        found = await asyncio.to_thread(entries_in, self._directory)
        return [
            each
            for each in found
            if asked.provider in (None, each.provider) and asked.month in (None, each.month)
        ]

    async def report(self, asked: ReportParameters) -> CheckedReport:
        """Every file is read and hashed. Raises ProblemError."""
        folder, entry = await asyncio.to_thread(self._found, asked.name)
        problem = await asyncio.to_thread(_problem_of, folder)
        return CheckedReport(entry, problem is None, problem)

    async def get_file(self, request: web.Request) -> web.StreamResponse:
        """To be kept, not shown: a report's page is one of its own, under no policy of this server's."""
        asked = parameters_of(request, FileParameters)
        folder, entry = await asyncio.to_thread(self._found, asked.name)
        if asked.file not in {file.name for file in entry.files}:
            raise ProblemError(404, f"{asked.name} has no file {asked.file}")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{asked.file}"',
        }
        return web.FileResponse(folder / asked.file, headers=headers)

    def _found(self, name: str) -> tuple[Path, ReportEntry]:
        folder = None if self._directory is None else self._directory / name
        entry = None if folder is None else _entry_of(folder)
        if folder is None or entry is None:
            raise ProblemError(404, f"no report is called {name}; GET /v1/reports lists them")
        return folder, entry


def entries_in(directory: Path | None) -> list[ReportEntry]:
    """Every folder with a manifest, newest month first. A directory that is not there yet has none."""
    if directory is None or not directory.is_dir():
        return []
    found = [entry for folder in directory.iterdir() if (entry := _entry_of(folder)) is not None]
    by_name = sorted(found, key=lambda entry: (entry.provider, entry.name))
    return sorted(by_name, key=lambda entry: entry.month, reverse=True)


def _entry_of(folder: Path) -> ReportEntry | None:
    """None for a folder that is no report, or whose name could not be asked for."""
    try:
        msgspec.convert(folder.name, Name)
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
        signed = {**manifest.files, MANIFEST: None, SIGNATURE: None, PUBLIC_KEY: None}
        files = tuple(
            ReportFile(name, (folder / name).stat().st_size, digest)
            for name, digest in sorted(signed.items())
            if "/" not in name and (folder / name).is_file()
        )
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError):
        return None
    return ReportEntry(folder.name, manifest.provider, manifest.month, manifest.zone, files)


def _problem_of(folder: Path) -> str | None:
    try:
        verify(folder)
    except NotGenuineError as error:
        return str(error)
    except OSError as error:
        return f"{Path(error.filename or folder).name}: {error.strerror}"
    return None
