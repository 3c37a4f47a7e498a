"""What the scripts have in common: how they are called, and how they say what they saw.

A script is called with the base URL, a model, and what to expect of it as JSON (`Expected` in tests/it/sdk.rs). It prints one
line of JSON for each check and ends with status 1 when one has failed.
"""

import json
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

BASE_URL, MODEL, EXPECTED = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])

HELLO = "Hello, wörld — naïve 東京 🦀👩\u200d🚀 \"quoted\"\n"

# A red pixel.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
PNG_LENGTH = 70

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather in a city.", "parameters": CITY}},
    {"type": "function", "function": {"name": "get_time", "description": "The time in a city.", "parameters": CITY}},
]


def get_weather(city):
    return f"21 °C in {city}, «sunny» ☀️"


def get_time(city):
    return json.dumps({"city": city, "time": "18:05"}, ensure_ascii=False)


FUNCTIONS = {"get_weather": get_weather, "get_time": get_time}


def unlike(name):
    """A question that nobody else asks: what follows the scenario's name only tells questions apart."""
    return f"{name} for {sys.argv[0].rsplit('/', 1)[-1]} with {MODEL}"


def equal(seen, expected, what):
    assert seen == expected, f"{what}: {seen!r} where {expected!r} was expected"


def expect_usage(usage):
    """`usage` as a dictionary: what every vendor counted, whatever it calls that."""
    prompt, completion, cached, reasoning = EXPECTED["usage"]
    equal(usage["prompt_tokens"], prompt, "prompt_tokens")
    equal(usage["completion_tokens"], completion, "completion_tokens")
    equal(usage["total_tokens"], prompt + completion, "total_tokens")
    equal((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0, cached, "cached_tokens")
    equal((usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0, reasoning, "reasoning_tokens")


def vector(text, dimensions=8):
    """What the scripted vendors make of a text."""
    data = text.encode()
    start = sum(data) + 7 * len(data)
    return [(start + 13 * at) % 256 / 256 - 0.5 for at in range(dimensions)]


def run(checks):
    """Runs all at once, because many of them wait. A check returns what is to be printed."""

    def attempt(name):
        try:
            return name, checks[name](), None
        except Exception:
            return name, None, traceback.format_exc()

    failed = False
    with ThreadPoolExecutor(max_workers=8) as pool:
        for name, seen, error in pool.map(attempt, checks):
            if error:
                failed = True
                print(f"{name} failed:\n{error}", file=sys.stderr)
            else:
                print(json.dumps({"check": name, "seen": seen}, ensure_ascii=False), flush=True)
    sys.exit(1 if failed else 0)
