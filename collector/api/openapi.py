"""The OpenAPI 3.1 document of a list of operations. Pure: spec.openapis.org/oas/v3.1.1."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from collector.api.operation import JSON, Access, Operation, Paging
from collector.problem import MEDIA_TYPE, Problem

PATH = "/v1/openapi.json"
REFERENCE = "#/components/schemas/{name}"
AGENT, OPERATOR_TOKEN, PASSWORD = "agentToken", "operatorToken", "basic"
_SECURITY: dict[Access, list[dict[str, list[str]]]] = {
    Access.WEB: [{}, {PASSWORD: []}],
    Access.NODE: [{AGENT: []}],
    Access.OPERATOR: [{OPERATOR_TOKEN: []}],
    Access.ANYBODY: [],
}

Document = dict[str, Any]


def document(operations: Sequence[Operation], version: str) -> Document:
    """Every operation with its parameters, bodies, answers and errors, and the schemas that they refer to."""
    kinds = [kind for each in operations for kind in (each.body, each.answer) if kind is not None]
    parameters = [each.parameters for each in operations]
    (*found, problem), schemas = msgspec.json.schema_components(
        [*kinds, *parameters, Problem], ref_template=REFERENCE
    )
    schema_of = dict(zip(map(_key, kinds), found, strict=False))
    properties = {kind: schemas.pop(kind.__name__)["properties"] for kind in set(parameters)}
    paths: dict[str, Document] = {}
    for each in operations:
        described = _operation(each, schema_of, properties[each.parameters], problem)
        paths.setdefault(each.path, {})[each.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lightfloor collector",
            "version": version,
            "description": "Verdicts, measurements and reports as JSON. Times are ISO 8601 in UTC, durations in seconds, ratios fractions.",
        },
        "paths": paths,
        "components": {
            "schemas": {name: _tidy(schema) for name, schema in sorted(schemas.items())},
            "securitySchemes": {
                AGENT: {"type": "http", "scheme": "bearer", "description": "a node's token, from `enroll`"},
                OPERATOR_TOKEN: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "an operator's token, from `maintenance operator`",
                },
                PASSWORD: {
                    "type": "http",
                    "scheme": "basic",
                    "description": "where a web configuration asks for it",
                },
            },
        },
    }


def _key(kind: Any) -> str:
    return repr(kind)


def _operation(
    operation: Operation, schema_of: dict[str, Document], properties: Document, problem: Document
) -> Document:
    described: Document = {
        "operationId": _identifier(operation),
        "summary": operation.summary,
        "security": _SECURITY[operation.access],
        "parameters": [_parameter(operation, name, schema) for name, schema in properties.items()],
        "responses": _responses(operation, schema_of, problem),
    }
    if operation.body is not None:
        content = {operation.body_media: {"schema": schema_of[_key(operation.body)]}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _identifier(operation: Operation) -> str:
    """get_paths_source_destination of GET /v1/paths/{source}/{destination}."""
    return "_".join([operation.method.lower(), *re.findall(r"\w+", operation.path.removeprefix("/v1/"))])


def _parameter(operation: Operation, name: str, schema: Document) -> Document:
    in_path = f"{{{name}}}" in operation.path
    asked = _asked(schema)
    words = {"description": asked.pop("description")} if "description" in asked else {}
    return {"name": name, "in": "path" if in_path else "query", "required": in_path, **words, "schema": asked}


def _asked(schema: Document) -> Document:
    """A parameter that may be left out is left out: null cannot be said in a query."""
    choices = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    rest = {
        key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)
    }
    return {**choices[0], **rest} if len(choices) == 1 else dict(schema)


def _responses(operation: Operation, schema_of: dict[str, Document], problem: Document) -> Document:
    refused = {"content": {MEDIA_TYPE: {"schema": problem}}}
    taken: Document = {"description": "what was asked for"}
    if operation.media != JSON:
        taken["content"] = {operation.media: {}}  # bytes have no schema (section 4.14.4 there)
    elif operation.answer is not None:
        taken["content"] = {JSON: {"schema": schema_of[_key(operation.answer)]}}
    found = {str(operation.status): taken}
    if operation.method == "GET" and operation.media == JSON and operation.access is Access.WEB:
        taken["headers"] = _headers(operation)
        found["304"] = {"description": "the same as with the ETag of If-None-Match"}
    reasons = {
        400: "a parameter is wrong; detail says which",
        401: "authentication is needed",
        **operation.refusals,
    }
    found |= {str(status): {"description": words, **refused} for status, words in sorted(reasons.items())}
    return found | {"default": {"description": "a fault of the collector", **refused}}


def _headers(operation: Operation) -> Document:
    headers = {"ETag": {"schema": {"type": "string"}, "description": "for If-None-Match"}}
    if issubclass(operation.parameters, Paging):
        headers["Link"] = {
            "schema": {"type": "string"},
            "description": 'the next page as rel="next" (RFC 8288), absent on the last',
        }
    return headers


def _tidy(schema: Any) -> Any:
    """Descriptions are docstrings: one line each, without their indentation."""
    if isinstance(schema, dict):
        return {
            key: " ".join(value.split()) if key == "description" and isinstance(value, str) else _tidy(value)
            for key, value in schema.items()
        }
    return [_tidy(each) for each in schema] if isinstance(schema, list) else schema
