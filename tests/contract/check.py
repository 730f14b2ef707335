#!/usr/bin/python3
"""Holds every exchange of the flow tests against contract/openapi.json.

    check.py RECORDING

The recording has one JSON object per line: method, path, query, status,
content_type, headers, body and request_body (texts). An operation that no test
exercised with success fails too. Ends with "N passed, N failed".
"""
import json
import re
import sys
import urllib.parse

from contract import Contract, no_twins

STREAM_TYPE = "text/event-stream; charset=utf-8"
ENVELOPE = ["type", "task_id", "organization_id", "time", "data"]
# Answers given before anything was routed; they may come at any path.
BEFORE_ROUTING = {400: "BadRequest", 408: "RequestTimeout", 413: "BodyTooLarge",
                  414: "TargetTooLong", 431: "HeadersTooLarge", 503: "Unavailable"}
BOOLEANS = {"true", "false", "1", "0", "yes", "no", "on", "off", "t", "f", "y", "n"}


def parse(text):
    return json.loads(text, object_pairs_hook=no_twins)


def response_named(contract, name):
    return contract.resolve({"$ref": f"#/components/responses/{name}"})


def check_headers(contract, response, headers):
    for name, node in response.get("headers", {}).items():
        value = headers.get(name.lower())
        if value is None:
            if node.get("required"):
                yield f"header {name} is missing"
            continue
        schema = contract.resolve(node["schema"])
        if schema.get("type") == "integer":
            value = int(value) if re.fullmatch(r"[0-9]+", value) else value
        yield from (f"header {name}: {fault}" for fault in contract.faults(schema, value))


def check_event(contract, fields):
    names = [name for name, _ in fields]
    if names != ["id", "data"]:
        yield f"an event has the lines {names}, not id and data"
    data = dict(fields).get("data")
    if not data:
        return
    try:
        event = parse(data)
    except ValueError as error:
        yield f"an event's data is not JSON: {error}"
        return
    if not isinstance(event, dict) or list(event) != ENVELOPE:
        yield f"an event's envelope is {list(event) if isinstance(event, dict) else event}"
        return
    # The alternative is chosen by its type: the validator would report all of them.
    for alternative in contract.schema("Event")["oneOf"]:
        kind = contract.resolve(alternative)["properties"]["type"]
        if event["type"] in kind.get("enum", [kind.get("const")]):
            yield from (f"{event['type']}: {f}" for f in contract.faults(alternative, event))
            return
    yield f"an event of the type {event['type']!r}"


def check_stream(contract, text):
    """A stream that the client left may end anywhere; only whole events are judged."""
    if "\r" in text:
        yield "a carriage return in a stream"
    fields = []
    for line in text.split("\n")[:-1]:
        if line.startswith(":"):
            if line != ": ka":
                yield f"the comment {line[:80]!r}"
        elif line:
            name, colon, value = line.partition(": ")
            if not colon or not value:
                yield f"the line {line[:80]!r}"
            fields.append((name, value))
        elif fields:
            yield from check_event(contract, fields)
            fields = []
        else:
            yield "an empty event"


def check_reply(contract, response, exchange):
    headers = {k.lower(): v for k, v in (exchange.get("headers") or {}).items()}
    kind, body = exchange.get("content_type") or "", exchange.get("body") or ""
    yield from check_headers(contract, response, headers)
    content = response.get("content", {})
    if exchange["method"] == "HEAD" or not content:
        if body:
            yield f"a body where none is due: {body[:80]!r}"
        if exchange["status"] == 204 and kind:
            yield f"a 204 of the type {kind!r}"
    elif "text/event-stream" in content:
        if kind != STREAM_TYPE:
            yield f"the content type is {kind!r}, not {STREAM_TYPE!r}"
        yield from check_stream(contract, body)
    else:
        if kind != "application/json":
            yield f"the content type is {kind!r}"
        try:
            value = parse(body)
        except ValueError as error:
            yield f"the body is not JSON: {error}: {body[:80]!r}"
            return
        yield from contract.faults(content["application/json"]["schema"], value, body)


def query_fault(contract, parameter, value):
    schema = contract.resolve(parameter["schema"])
    if schema["type"] == "boolean":
        return None if value.lower() in BOOLEANS else f"{value!r} is no boolean"
    if schema["type"] == "integer":
        if not re.fullmatch(r"\s*[+-]?[0-9]+(\.0*)?\s*", value):
            return f"{value!r} is no integer"
        value = int(float(value)) if "." in value else int(value)
    faults = contract.faults(schema, value)
    return faults[0] if faults else None


def check_request(contract, operation, exchange):
    """What was answered with success, the contract must allow to be asked."""
    given = dict(urllib.parse.parse_qsl(exchange.get("query") or "", keep_blank_values=True))
    for parameter in operation.parameters:
        if parameter["in"] == "query" and parameter["name"] in given:
            fault = query_fault(contract, parameter, given[parameter["name"]])
            if fault:
                yield f"accepted ?{parameter['name']}: {fault}"
    if operation.body_schema and exchange.get("request_body"):
        try:
            value = parse(exchange["request_body"])
        except ValueError as error:
            yield f"accepted a body that is not JSON: {error}"
            return
        faults = contract.faults(operation.body_schema, value)
        yield from (f"accepted a body that the contract forbids: {f}" for f in faults)


def check_exchange(contract, exchange):
    """(name of the operation or None, list of violations)"""
    status = exchange["status"]
    path = exchange["path"].partition("?")[0]
    operation, methods = contract.match(exchange["method"], path)
    if operation and status in operation.responses:
        found = list(check_reply(contract, operation.responses[status], exchange))
        if 200 <= status < 300:
            found += check_request(contract, operation, exchange)
        return operation.name, found
    if operation:
        return operation.name, [f"the status {status} is not documented"]
    name = "MethodNotAllowed" if methods or exchange["method"] == "CONNECT" else "NotFound"
    if status in BEFORE_ROUTING:
        name = BEFORE_ROUTING[status]
    elif status != (405 if name == "MethodNotAllowed" else 404):
        return None, [f"the status {status}, where {name} was due"]
    found = list(check_reply(contract, response_named(contract, name), exchange))
    if name == "MethodNotAllowed" and methods:
        headers = {k.lower(): v for k, v in (exchange.get("headers") or {}).items()}
        allow = set(headers.get("allow", "").replace(" ", "").split(","))
        if allow != methods:
            found.append(f"Allow has {sorted(allow)}, not {sorted(methods)}")
    return None, found


def check_lines(contract, lines, say=print):
    """(passed, failed) over all exchanges and operations."""
    exercised, passed, failed = set(), 0, 0
    for number, line in enumerate(lines, 1):
        exchange = json.loads(line)
        name, found = check_exchange(contract, exchange)
        if name and 200 <= exchange["status"] < 300:
            exercised.add(name)
        if found:
            failed += 1
            say(f"FAIL {number}: {exchange['method']} {exchange['path']} -> {exchange['status']}")
            for fault in found[:10]:
                say(f"     {fault}")
            if len(found) > 10:
                say(f"     and {len(found) - 10} more")
        else:
            passed += 1
    for operation in contract.operations:
        if operation.name in exercised:
            passed += 1
        else:
            failed += 1
            say(f"FAIL {operation.name}: no test exercised it with success")
    return passed, failed


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: check.py RECORDING")
    with open(sys.argv[1], encoding="utf-8") as recording:
        passed, failed = check_lines(Contract(), recording)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
