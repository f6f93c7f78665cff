"""A provider's metadata service over link-local HTTP: type, region and zone of this machine. Only when asked for.

The service sees the question, and some networks route it to strangers; so nothing here runs by default, redirects are not
followed, proxies not used, and answers bounded.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import URLError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

LINK_LOCAL = "http://169.254.169.254"
TIMEOUT_SECONDS = 1.0
MAX_BYTES = 1 << 16
MAX_VALUE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Service:
    """Where a provider's service answers, and how its JSON names things: dotted paths by our name.

    token_path: where a session token is had first (PUT), and token_headers of both requests.
    """

    provider: str
    path: str
    fields: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict)
    token_path: str | None = None


SERVICES: tuple[Service, ...] = (
    Service(
        "aws",
        "/latest/dynamic/instance-identity/document",
        {"instance_type": "instanceType", "region": "region", "zone": "availabilityZone"},
        token_path="/latest/api/token",  # noqa: S106 - a URL's path
    ),
    Service(
        "gce",
        "/computeMetadata/v1/instance/?recursive=true",
        {"instance_type": "machineType", "zone": "zone"},
        {"Metadata-Flavor": "Google"},
    ),
    Service(
        "azure",
        "/metadata/instance/compute?api-version=2021-02-01&format=json",
        {"instance_type": "vmSize", "region": "location", "zone": "zone"},
        {"Metadata": "true"},
    ),
    Service("digitalocean", "/metadata/v1.json", {"region": "region"}),
    Service("openstack", "/openstack/latest/meta_data.json", {"zone": "availability_zone"}),
)


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = build_opener(ProxyHandler({}), _NoRedirect())


def cloud_metadata(base_url: str = LINK_LOCAL) -> dict[str, str]:
    """provider, instance_type, region, zone: those that the first service to answer tells.

    Blocks up to a second per service. Raises FileNotFoundError when none answers.
    """
    for service in SERVICES:
        answer = _document(service, base_url)
        if answer:
            return {"provider": service.provider, **dict(_fields(service, answer))}
    raise FileNotFoundError(f"no known metadata service answers at {base_url}")


def _document(service: Service, base_url: str) -> dict[str, Any] | None:
    headers = dict(service.headers)
    if service.token_path is not None:
        wish = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        token = _answer(Request(base_url + service.token_path, method="PUT", headers=wish))  # noqa: S310 - our own base
        if token is None:
            return None
        headers["X-aws-ec2-metadata-token"] = token.decode("ascii", errors="replace").strip()[:1024]
    body = _answer(Request(base_url + service.path, headers=headers))  # noqa: S310 - as above
    try:
        document = json.loads(body or b"")
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _answer(request: Request) -> bytes | None:
    try:
        with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
            read: Callable[[int], bytes] = response.read
            return read(MAX_BYTES)
    except (URLError, HTTPException, OSError, ValueError):
        return None


def _fields(service: Service, document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, key in service.fields.items():
        value = document.get(key)
        if isinstance(value, str) and value:
            yield name, value.rpartition("/")[2][:MAX_VALUE_CHARACTERS]  # Google's are resource paths
