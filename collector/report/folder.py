"""The report's folder: its files, the manifest with their SHA-256, and an ed25519 signature over the manifest."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from collector.report.document import Report
from collector.report.tables import as_csv, tables_of

MANIFEST, SIGNATURE, PUBLIC_KEY = "manifest.json", "manifest.sig", "public-key.pem"
COLUMNS = (
    "source", "destination", "probe", "family", "verdict", "samples", "over_limit", "p50_seconds", "p90_seconds",
    "p99_seconds", "p999_seconds", "min_seconds", "max_seconds", "floor_seconds", "limit_seconds", "ratio_to_floor",
    "static_inflation", "dynamic_inflation", "loss_ratio", "availability", "minutes", "excluded_minutes",
    "maintenance_minutes", "reason",
)  # fmt: skip


class NotGenuineError(Exception):
    """A folder that is not what was signed; says which file and why."""


def files_of(report: Report, pages: dict[str, bytes]) -> dict[str, bytes]:
    """Every file but the manifest by name: the document as JSON, its tables as CSV, and the pages."""
    return {
        "report.json": msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n",
        "paths.csv": as_csv(
            COLUMNS, ([getattr(path.row, name) for name in COLUMNS] for path in report.paths)
        ),
        "days.csv": as_csv(
            (
                "source",
                "destination",
                "probe",
                "family",
                "start_s",
                "samples",
                "judged",
                "over_limit",
                "p99_seconds",
            ),
            (
                [
                    p.row.source,
                    p.row.destination,
                    p.row.probe,
                    p.row.family.value,
                    d.start_s,
                    d.samples,
                    d.judged,
                    d.over_limit,
                    d.p99_seconds,
                ]
                for p in report.paths
                for d in p.days
            ),
        ),
        **tables_of(report),
        **pages,
    }


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The key in the file; made there, readable by its owner alone, when there is none. Raises OSError, ValueError."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        made = Ed25519PrivateKey.generate()
        pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
        return made
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} holds no ed25519 key")  # noqa: TRY004 - the file's content is wrong, not a caller's type
    return key


def write_folder(folder: Path, files: dict[str, bytes], report: Report, key: Ed25519PrivateKey) -> None:
    """All of it or nothing: written aside and renamed. Raises FileExistsError, OSError."""
    if folder.exists():
        raise FileExistsError(f"{folder} exists already; name another folder, a report is never overwritten")
    manifest = {
        "format": report.format,
        "provider": report.provider,
        "month": report.month,
        "zone": report.zone,
        "files": {name: hashlib.sha256(body).hexdigest() for name, body in sorted(files.items())},
        "raw_rows": report.raw_rows,
        "raw_sha256": report.raw_sha256,
    }
    body = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        for name, content in {**files, MANIFEST: body, SIGNATURE: key.sign(body), PUBLIC_KEY: public}.items():
            (aside / name).write_bytes(content)
        aside.rename(folder)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def verify(folder: Path, public_key: Path | None = None) -> dict[str, Any]:
    """The manifest of a genuine folder. public_key: the signer's, known from elsewhere; the folder's own proves only
    that nothing was changed since. Raises NotGenuineError with the first thing that is wrong, OSError.
    """
    body = (folder / MANIFEST).read_bytes()
    pem = (public_key or folder / PUBLIC_KEY).read_bytes()
    try:
        key = load_pem_public_key(pem)
    except ValueError as error:
        raise NotGenuineError(f"{public_key or PUBLIC_KEY}: no public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise NotGenuineError(f"{public_key or PUBLIC_KEY}: no ed25519 key")
    try:
        key.verify((folder / SIGNATURE).read_bytes(), body)
    except InvalidSignature as error:
        raise NotGenuineError(f"{MANIFEST}: the signature does not fit the key") from error
    manifest: dict[str, Any] = msgspec.json.decode(body)
    for name, stated in manifest["files"].items():
        file = folder / name
        if not file.is_file():
            raise NotGenuineError(f"{name}: is missing")
        if hashlib.sha256(file.read_bytes()).hexdigest() != stated:
            raise NotGenuineError(f"{name}: was changed after it was signed")
    extra = {file.name for file in folder.iterdir()} - {*manifest["files"], MANIFEST, SIGNATURE, PUBLIC_KEY}
    if extra:
        raise NotGenuineError(f"{min(extra)}: is not part of what was signed")
    return manifest
