"""`report`: a provider's month as a signed folder that anybody can check."""

import argparse
import sqlite3
import sys
import time
from pathlib import Path

from collector.commands import CommandError, add_config_argument
from collector.config import read_config
from collector.fleet import Fleet, read_fleet
from collector.report import pages
from collector.report.document import EmptyReportError, Report, report_of
from collector.report.folder import NotGenuineError, files_of, signing_key, verify, write_folder
from collector.report.month import Month, parse_month
from collector.report.words import LANGUAGES
from collector.store.schema import StoreError, open_reader

KEY_FILE = "report-key.pem"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("--provider", metavar="NAME", help="a provider of the fleet file")
    parser.add_argument("--month", metavar="YYYY-MM", help="a calendar month of the time zone")
    parser.add_argument("--tz", default="UTC", metavar="ZONE", help="IANA time zone; default %(default)s")
    parser.add_argument("--lang", choices=LANGUAGES, default="en", help="default %(default)s")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to make; it must not exist")
    parser.add_argument(
        "--verify", type=Path, metavar="DIR", help="check a report's folder in place of making one"
    )
    parser.add_argument("--public-key", type=Path, metavar="FILE", help="the signer's, known from elsewhere")
    add_config_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Makes or checks one report. 1 for a folder that is not genuine. Raises ConfigError, CommandError."""
    if arguments.verify is not None:
        return _verify(arguments.verify, arguments.public_key)
    missing = [name for name in ("provider", "month", "out") if getattr(arguments, name) is None]
    if missing:
        raise CommandError(f"report needs --{missing[0]}, or --verify DIR")
    try:
        month = parse_month(arguments.month, arguments.tz)
    except ValueError as error:
        raise CommandError(str(error)) from error
    config = read_config(arguments.config)
    fleet = read_fleet(Path(config.fleet.path))
    store = Path(config.store.path)
    report = _report(store, fleet, arguments.provider, month)
    page = pages.html(report, arguments.lang)
    made = {"report.html": page.encode()}
    try:
        printed = pages.pdf(pages.html(report, arguments.lang, pages.PRINTED_PATHS))
        made["report.pdf"] = printed.content
        if arguments.lang == "zh" and not printed.has_chinese_font:
            fonts = "fonts-wqy-microhei or fonts-noto-cjk"
            print(f"report: no Chinese font here ({fonts}); report.pdf has empty boxes", file=sys.stderr)
    except pages.PdfUnavailableError as error:
        print(f"report: {error}; report.html prints as well", file=sys.stderr)
    try:
        files = files_of(report, made)
        write_folder(arguments.out, files, report, signing_key(store.with_name(KEY_FILE)))
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from error
    for line in pages.summary(report, arguments.lang):
        print(line)
    print(f"{arguments.out}: {', '.join(sorted(files))}, signed")
    return 0


def _report(store: Path, fleet: Fleet, provider: str, month: Month) -> Report:
    if provider not in fleet.providers:
        known = ", ".join(sorted(fleet.providers)[:10]) or "none"
        raise CommandError(f"no provider is called {provider}; known: {known}")
    try:
        connection = open_reader(store)
        try:
            return report_of(connection, fleet, provider, month, int(time.time()), _bar)
        finally:
            connection.close()
    except (StoreError, sqlite3.Error, EmptyReportError) as error:
        raise CommandError(str(error)) from error


def _bar(done: int, paths: int) -> None:
    """A line that grows on a terminal, nothing elsewhere."""
    if sys.stderr.isatty():
        filled = 40 * done // max(paths, 1)
        print(
            f"\r[{'#' * filled}{'.' * (40 - filled)}] {done} of {paths} paths",
            end="" if done < paths else "\n",
            file=sys.stderr,
            flush=True,
        )


def _verify(folder: Path, public_key: Path | None) -> int:
    try:
        manifest = verify(folder, public_key)
    except NotGenuineError as error:
        print(f"{folder}: NOT GENUINE: {error}")
        return 1
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from error
    whose = "the given key" if public_key is not None else "the key in the folder, which proves no signer"
    print(
        f"{folder}: genuine by {whose}: {manifest['provider']}, {manifest['month']}, {len(manifest['files'])} files"
    )
    return 0
