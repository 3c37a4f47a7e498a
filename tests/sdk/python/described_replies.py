"""Holds the examples of an OpenAPI document, and replies of the service, against the document.

Arguments: the document, and a list of replies as JSON: {"method", "path", "status", "headers", "body"}, the path as the document
has it. Says what is wrong, one line each, and ends with 1 if anything is.
"""

import json
import sys

from jsonschema import Draft202012Validator

# What a client puts there may have any fields.
OPEN = {"Session"}


def closed(schema, inside=False):
    """The schema, but with no fields that it does not name: what is written must be described."""
    if isinstance(schema, list):
        return [closed(one, inside) for one in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {name: closed(value, name in ("allOf", "oneOf") and (inside or "allOf" in schema)) for name, value in schema.items()}
    if "properties" in schema:
        parts["properties"] = {name: closed(value) for name, value in schema["properties"].items()}
    if not inside and ("properties" in schema or "allOf" in schema):
        parts["unevaluatedProperties"] = False
    return parts


class Document:
    def __init__(self, document):
        self.paths = document["paths"]
        schemas = document["components"]["schemas"]
        self.open = {"components": {"schemas": schemas}}
        self.closed = {"components": {"schemas": {n: s if n in OPEN else closed(s) for n, s in schemas.items()}}}

    def problems(self, schema, value, is_ours):
        schema = {**(closed(schema) if is_ours else schema), **(self.closed if is_ours else self.open)}
        for error in Draft202012Validator(schema).iter_errors(value):
            yield f"{error.json_path}: {error.message[:300]}"

    def content(self, content, body, is_ours=True):
        """What is wrong with a body of the content type whose description `content` is."""
        schema = content["schema"]
        named = self.open["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
        if not isinstance(body, str) or "data" not in named.get("properties", {}):
            yield from self.problems(schema, body, is_ours)
            return
        data = named["properties"]["data"]
        kinds = data.get("anyOf", [data])
        for line in body.splitlines():
            if line.startswith("data: "):
                yield from self.event(kinds, line.removeprefix("data: "))

    def event(self, kinds, text):
        if any(text in kind.get("enum", []) for kind in kinds):
            return
        tried = [list(self.problems(kind["contentSchema"], json.loads(text), True)) for kind in kinds if "contentSchema" in kind]
        if all(tried):
            yield f"{text[:200]}: {tried}"


def examples(content):
    if "example" in content:
        yield content["example"]
    for example in content.get("examples", {}).values():
        yield example["value"]


def main():
    document, replies = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
    document, wrong = Document(document), []
    for path, item in document.paths.items():
        for method, operation in item.items():
            bodies = [("request", operation.get("requestBody", {}), False)]
            bodies += [(status, response, True) for status, response in operation["responses"].items()]
            for what, described, is_ours in bodies:
                for content in described.get("content", {}).values():
                    for example in examples(content):
                        problems = document.content(content, example, is_ours)
                        wrong += [f"example of {method} {path} ({what}): {problem}" for problem in problems]
    for reply in replies:
        what = f"{reply['method']} {reply['path']} {reply['status']}"
        response = document.paths[reply["path"]][reply["method"]]["responses"].get(str(reply["status"]))
        content_type = reply["headers"].get("content-type", "")
        if response is None or content_type not in response["content"]:
            wrong.append(f"{what}: {content_type} is not described: {reply['body'][:300]}")
            continue
        body = reply["body"] if content_type.startswith("text/") else json.loads(reply["body"])
        wrong += [f"{what}: {problem}" for problem in document.content(response["content"][content_type], body)]
        described = {name.lower() for name in response["headers"]}
        # Every reply of the service has these, and they tell clients of the API nothing.
        usual = {"content-type", "content-length", "cache-control", "vary", "x-content-type-options", "referrer-policy", "x-accel-buffering"}
        wrong += [f"{what}: the header {name} is not described" for name in sorted(reply["headers"].keys() - described - usual)]
    print("\n".join(wrong))
    sys.exit(bool(wrong))


main()
