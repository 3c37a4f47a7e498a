"""Prints every field of a chat completion's request that the SDK knows."""

import json

from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming

fields = {**CompletionCreateParamsNonStreaming.__annotations__, **CompletionCreateParamsStreaming.__annotations__}
for base in (*CompletionCreateParamsNonStreaming.__orig_bases__, *CompletionCreateParamsStreaming.__orig_bases__):
    fields.update(getattr(base, "__annotations__", {}))
print(json.dumps({"check": "fields", "seen": sorted(fields)}))
