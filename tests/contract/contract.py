"""The contract, as the checks see it: operations, schemas, matching a path.

Nothing here is shared with the server: a second reading of the same document is
what makes the comparison worth something.
"""
import json
import os
import re
import urllib.parse

from jsonschema import Draft202012Validator

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
METHODS = ("get", "head", "post", "put", "patch", "delete")


def no_twins(pairs):
    """For json.loads: an object that names a key twice is no reply of ours."""
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a key occurs twice: {sorted(k for k in keys if keys.count(k) > 1)[0]}")
    return dict(pairs)


class Operation:
    def __init__(self, contract, method, template, node):
        self.method, self.template, self.node = method, template, node
        self.name = node["operationId"]
        self.segments = [s for s in template.split("/") if s]
        self.parameters = [contract.resolve(p) for p in node.get("parameters", [])]
        self.responses = {int(code): contract.resolve(r) for code, r in node["responses"].items()}
        body = contract.resolve(node.get("requestBody", {}))
        self.body_schema = body.get("content", {}).get("application/json", {}).get("schema")

    def fits(self, segments):
        return len(segments) == len(self.segments) and all(
            mine.startswith("{") or mine == its for mine, its in zip(self.segments, segments)
        )

    def rank(self):
        """Sorts the more literal template first."""
        return [mine.startswith("{") for mine in self.segments]


class Contract:
    def __init__(self, path=os.path.join(ROOT, "contract", "openapi.json")):
        with open(path, encoding="utf-8") as file:
            self.doc = json.load(file)
        self.operations = [
            Operation(self, method.upper(), template, item[method])
            for template, item in self.doc["paths"].items()
            for method in METHODS
            if method in item
        ]
        self.validators, self.seen = {}, {}

    def resolve(self, node):
        while "$ref" in node:
            found = self.doc
            for key in node["$ref"].removeprefix("#/").split("/"):
                found = found[key]
            node = {**found, **{k: v for k, v in node.items() if k != "$ref"}}
        return node

    def schema(self, name):
        return self.doc["components"]["schemas"][name]

    def match(self, method, path):
        """(operation, methods that fit the path); the operation may be None."""
        path = re.sub(r"^https?://[^/?]*", "", path, flags=re.IGNORECASE)
        try:
            segments = [urllib.parse.unquote(s, errors="strict") for s in path.split("/") if s]
        except UnicodeDecodeError:
            return None, set()
        fitting = sorted((o for o in self.operations if o.fits(segments)), key=Operation.rank)
        mine = [o for o in fitting if o.method == method]
        return (mine[0] if mine else None), {o.method for o in fitting}

    def faults(self, schema, value, text=None):
        """Sentences about what is wrong with `value`. Equal texts are judged once."""
        key = json.dumps(schema, sort_keys=True)
        if text is not None and (key, text) in self.seen:
            return self.seen[key, text]
        if key not in self.validators:
            # The components stand beside the schema, so that its references resolve.
            self.validators[key] = Draft202012Validator(
                {"allOf": [schema], "components": self.doc["components"]}
            )
        found = [sentence(e) for e in self.validators[key].iter_errors(value)]
        if text is not None and len(text) < 20000:
            self.seen[key, text] = found
        return found


def sentence(error):
    where = "/".join(str(p) for p in error.absolute_path) or "(whole)"
    deepest = error
    while deepest.context:
        deepest = max(deepest.context, key=lambda e: len(e.absolute_path))
    more = "" if deepest is error else f" ({deepest.message[:160]})"
    return f"{where}: {error.message[:200]}{more}"
