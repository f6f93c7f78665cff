"""The API's shape: what requests may say, how answers are sent, and the document that describes both."""

import gzip
import json
from typing import Annotated

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from collector.api.answer import json_answer, takes_gzip
from collector.api.openapi import document
from collector.api.operation import Access, Operation, Paging, Parameters, body_of, get, parameters_of
from collector.problem import ProblemError


class Row(msgspec.Struct):
    name: str
    size: int


class RowParameters(Paging, frozen=True, kw_only=True):
    colour: Annotated[str, msgspec.Meta(description="of the row")] | None = None


class OneRow(Parameters, frozen=True, kw_only=True):
    name: str


ROWS = [Row(str(number), number) for number in range(25)]


async def rows(_asked):
    return ROWS


def ask(path, headers=None, match=None):
    return make_mocked_request("GET", path, headers=headers or {}, match_info=match or {})


async def answered(path, **headers):
    operation = get("/v1/rows", "Rows", RowParameters, list[Row], rows)
    return await operation.handler(ask(path, headers))


async def test_pages_follow_one_another_by_their_links_and_leave_nothing_out():
    """Following rel="next" from the first page gives every row once, in order, with the other parameters kept."""
    path, found, pages = "/v1/rows?limit=10&colour=red", [], 0
    while path:
        response = await answered(path)
        found += msgspec.json.decode(response.body, type=list[Row])
        link = response.headers.get("Link")
        assert link is None or link.endswith('>; rel="next"')
        path = link and link.removeprefix("<").partition(">")[0]
        assert path is None or "colour=red" in path
        pages += 1
    assert found == ROWS
    assert pages == 3


async def test_a_known_answer_is_not_sent_again():
    """The ETag given back in If-None-Match is answered 304 without a body, whether or not gzip is taken now."""
    first = await answered("/v1/rows")
    tag = first.headers["ETag"]
    again = await answered("/v1/rows", **{"If-None-Match": tag, "Accept-Encoding": "gzip"})
    assert (again.status, again.body, again.headers["ETag"]) == (304, None, tag)
    other = await answered("/v1/rows?limit=1", **{"If-None-Match": tag})
    assert other.status == 200


async def test_long_answers_are_compressed_for_those_who_take_it():
    """gzip where the asker allows it, the same bytes after unpacking; caches are told that it matters."""
    plain = await json_answer(ask("/"), ["x" * 5000])
    packed = await json_answer(ask("/", {"Accept-Encoding": "br, gzip"}), ["x" * 5000])
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP;q=0.5, br", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
    ],
)
def test_accept_encoding_is_read_as_the_standard_says(header, taken):
    """RFC 9110 section 12.5.3."""
    assert takes_gzip(header) is taken


@given(st.text())
def test_any_accept_encoding_is_yes_or_no(header):
    """Nothing that a client sends there is an error."""
    assert takes_gzip(header) in (True, False)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/?limit=0", "limit: Expected `int` >= 1"),
        ("/?limit=many", "limit: Expected `int`, got `str`"),
        ("/?limit=1&limit=2", "each parameter is given once"),
        ("/?sort=name", "unknown name 'sort'"),
    ],
)
def test_wrong_parameters_are_named(path, words):
    """400, with the name of the parameter and what would be right."""
    with pytest.raises(ProblemError, match=words) as refused:
        parameters_of(ask(path), RowParameters)
    assert refused.value.status == 400


def test_a_query_cannot_overrule_the_path():
    """?name= beside /rows/{name} is refused, not obeyed."""
    with pytest.raises(ProblemError, match="once"):
        parameters_of(ask("/v1/rows/a?name=b", match={"name": "a"}), OneRow)


async def test_a_body_is_taken_as_json_only():
    """Another Content-Type, which a foreign page could post unasked, is 415."""
    with pytest.raises(ProblemError) as refused:
        await body_of(make_mocked_request("POST", "/v1/rows", headers={"Content-Type": "text/plain"}), Row)
    assert refused.value.status == 415


def operation(method, path, **fields):
    return Operation(method=method, path=path, summary="", handler=rows, refusals={}, **fields)


def described():
    operations = [
        get("/v1/rows", "Rows", RowParameters, list[Row], rows),
        get("/v1/rows/{name}", "One", OneRow, Row, rows, {404: "no such row"}),
        operation("POST", "/v1/rows", body=Row, answer=Row, status=201, access=Access.OPERATOR),
        operation("DELETE", "/v1/rows/{name}", parameters=OneRow, status=204),
        operation("GET", "/v1/own", answer=Row, access=Access.NODE),
        operation("GET", "/v1/bytes", media="application/octet-stream", access=Access.ANYBODY),
    ]
    return document(operations, "1.2.3")


def test_the_document_says_what_the_types_say():
    """Parameters with bounds and places, bodies, answers, errors and who may ask come from the operation alone."""
    made = json.loads(json.dumps(described()))
    assert made["openapi"] == "3.1.0"
    listing = made["paths"]["/v1/rows"]["get"]
    limit = next(each for each in listing["parameters"] if each["name"] == "limit")
    assert (limit["in"], limit["required"]) == ("query", False)
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 1000}
    colour = next(each for each in listing["parameters"] if each["name"] == "colour")
    assert colour["schema"] == {"type": "string"}
    assert {"ETag", "Link"} <= listing["responses"]["200"]["headers"].keys()
    (name,) = made["paths"]["/v1/rows/{name}"]["delete"]["parameters"]
    assert (name["in"], name["required"]) == ("path", True)
    assert made["paths"]["/v1/rows/{name}"]["get"]["responses"]["404"]["description"] == "no such row"
    body = made["paths"]["/v1/rows"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/Row"}
    assert made["paths"]["/v1/own"]["get"]["security"] == [{"agentToken": []}]
    assert made["paths"]["/v1/rows"]["post"]["security"] == [{"operatorToken": []}]
    assert made["paths"]["/v1/rows"]["get"]["security"] == [{}, {"basic": []}]
    assert made["paths"]["/v1/bytes"]["get"]["security"] == []
    assert made["paths"]["/v1/bytes"]["get"]["responses"]["200"]["content"] == {
        "application/octet-stream": {}
    }
    assert {"Row", "Problem"} == made["components"]["schemas"].keys()


def test_operations_have_names_of_their_own():
    """Generated clients name functions by operationId."""
    names = [each["operationId"] for path in described()["paths"].values() for each in path.values()]
    assert len(set(names)) == len(names) == 6
    assert "get_rows_name" in names
