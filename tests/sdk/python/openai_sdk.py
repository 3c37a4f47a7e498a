"""The official OpenAI SDK for Python."""

import asyncio
import json
import time

import httpx
import openai
from pydantic import BaseModel

from checks import (
    BASE_URL, EXPECTED, FUNCTIONS, HELLO, MODEL, PNG, PNG_LENGTH, TOOLS, equal, expect_usage, run, unlike, vector,
)

requests = []


def note(request):
    requests.append(json.loads(request.content or b"null"))


client = openai.OpenAI(base_url=BASE_URL, http_client=openai.DefaultHttpxClient(event_hooks={"request": [note]}))
impatient = client.with_options(max_retries=0)
# Some models are asked in another dialect when there are tools; then there always are.
ALWAYS = {"tools": TOOLS} if EXPECTED["tools_always"] else {}


def user(text):
    return [{"role": "user", "content": text}]


def create(text, client=client, **more):
    return client.chat.completions.create(model=MODEL, messages=user(text), **(ALWAYS | more))


def sent(text):
    """How often a question was sent."""
    return sum(1 for body in requests if body and body.get("messages", [{}])[-1].get("content") == text)


def chat():
    completion = create("hello")
    equal(completion.object, "chat.completion", "object")
    equal(completion.model, EXPECTED["answers_as"], "model")
    equal(len(completion.choices), 1, "choices")
    choice = completion.choices[0]
    equal((choice.index, choice.finish_reason), (0, "stop"), "choice")
    message = choice.message
    equal((message.role, message.content, message.refusal), ("assistant", HELLO, None), "message")
    assert not message.tool_calls, message.tool_calls
    assert completion.id.startswith("chatcmpl-") and completion.created > 1_700_000_000, completion
    expect_usage(completion.usage.model_dump())


def stream(include_usage):
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    chunks = list(create("hello", stream=True, **options))
    equal(len({(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks}), 1, "heads")
    equal((chunks[0].model, chunks[0].object), (EXPECTED["answers_as"], "chat.completion.chunk"), "head")
    if include_usage:
        last = chunks.pop()
        equal(last.choices, [], "choices of the chunk with usage")
        expect_usage(last.usage.model_dump())
    assert all(chunk.usage is None and len(chunk.choices) == 1 for chunk in chunks), chunks
    choices = [chunk.choices[0] for chunk in chunks]
    equal(choices[0].delta.role, "assistant", "role of the first delta")
    equal("".join(choice.delta.content or "" for choice in choices), HELLO, "text")
    equal([choice.finish_reason for choice in choices if choice.finish_reason], ["stop"], "finish reasons")
    equal(choices[-1].finish_reason, "stop", "last finish reason")


def stream_helper():
    """The SDK's own accumulation, which is stricter than ours."""
    with client.chat.completions.stream(model=MODEL, messages=user("hello")) as events:
        kinds = {event.type for event in events}
        completion = events.get_final_completion()
    equal(kinds, {"chunk", "content.delta", "content.done"}, "events")
    equal(completion.choices[0].message.content, HELLO, "text")


def asynchronous():
    async def hello():
        async with openai.AsyncOpenAI(base_url=BASE_URL) as client:
            chunks = await client.chat.completions.create(model=MODEL, messages=user("hello"), stream=True)
            return [chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices]

    equal("".join(asyncio.run(hello())), HELLO, "text")


def system():
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind: naïve ☕."}]},
        *user("system"),
    ]
    completion = client.chat.completions.create(model=MODEL, messages=messages, **ALWAYS)
    equal(completion.choices[0].message.content, "Be brief.\n\nBe kind: naïve ☕.", "instructions")


def whole_turn(messages):
    choice = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS).choices[0]
    # As SDK users do: the message itself goes back, with all that the gateway put into it.
    return choice.finish_reason, choice.message.model_dump(exclude_none=True)


def streamed_turn(messages):
    """Puts the message together from its pieces."""
    message, reasons, pieces = {"role": "assistant", "content": None, "tool_calls": []}, [], 0
    for chunk in client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS, stream=True):
        choice = chunk.choices[0]
        if choice.finish_reason:
            reasons.append(choice.finish_reason)
        if choice.delta.content:
            message["content"] = (message["content"] or "") + choice.delta.content
        for part in choice.delta.tool_calls or []:
            pieces += 1
            if part.index == len(message["tool_calls"]):
                assert part.id and part.type == "function" and part.function.name, part
                message["tool_calls"].append(
                    part.model_dump(exclude={"index"}, exclude_none=True) | {"function": {"name": part.function.name, "arguments": ""}}
                )
            message["tool_calls"][part.index]["function"]["arguments"] += part.function.arguments or ""
    equal(len(reasons), 1, "finish reasons")
    if not message["tool_calls"]:
        del message["tool_calls"]
    return reasons[0], message


def tools(turn):
    """Two calls at once, an answer, one more call, an answer."""
    messages, ids = [{"role": "system", "content": "Be brief."}], []
    for question in ["weather", "later"]:
        messages += user(question)
        reason, message = turn(messages)
        equal(reason, "tool_calls", "finish reason")
        messages.append(message)
        for call in message["tool_calls"]:
            ids.append(call["id"])
            function = FUNCTIONS[call["function"]["name"]]
            content = function(**json.loads(call["function"]["arguments"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
        reason, message = turn(messages)
        equal(reason, "stop", "finish reason")
        messages.append(message)
    equal(len(set(ids[:2])), 2, "ids of calls at once")
    return [normal(message) for message in messages]


def normal(message):
    """Without ids, and without what is empty."""
    seen = {"role": message["role"], "content": message.get("content") or ""}
    calls = [call["function"] for call in message.get("tool_calls") or []]
    if calls:
        seen["calls"] = [[call["name"], json.loads(call["arguments"])] for call in calls]
    return seen


class Tag(BaseModel):
    name: str
    weight: float


class Weather(BaseModel):
    city: str
    degrees: int
    is_sunny: bool
    tags: list[Tag]


def json_schema():
    completion = client.chat.completions.parse(
        model=MODEL, messages=user("json with a schema"), response_format=Weather, **strict(ALWAYS)
    )
    parsed = completion.choices[0].message.parsed
    equal(parsed, Weather(city="Tōkyō", degrees=7, is_sunny=True, tags=[Tag(name="Tōkyō", weight=7.5)]), "parsed")
    return parsed.model_dump()


def strict(options):
    """The SDK parses an answer only beside tools that it could parse too."""
    tools = [tool | {"function": tool["function"] | {"strict": True}} for tool in options.get("tools", [])]
    return {"tools": tools} if tools else {}


def json_mode():
    completion = create("json", response_format={"type": "json_object"})
    equal(json.loads(completion.choices[0].message.content), {"city": "Tōkyō"}, "JSON")


def show(url):
    parts = [{"type": "text", "text": "picture"}, {"type": "image_url", "image_url": {"url": url, "detail": "low"}}]
    messages = [{"role": "user", "content": parts}]
    return client.chat.completions.create(model=EXPECTED["picture_model"], messages=messages, **ALWAYS)


def picture():
    seen = show(f"data:image/png;base64,{PNG}").choices[0].message.content
    equal(seen, f"image/png of {PNG_LENGTH} bytes", "picture")


def picture_by_address():
    url = "https://example.com/a.png"
    if EXPECTED["https_images"]:
        equal(show(url).choices[0].message.content, f"picture at {url}", "picture")
        return
    error = fails(openai.BadRequestError, lambda: show(url))
    assert error.param and error.param.startswith("messages"), f"the field is not named: {error.body}"


def sampling():
    more = {} if EXPECTED["dropped"] is None else {"extra_body": {"frobnicate": 1}}
    settings = {"temperature": 0.5, "top_p": 0.9, "stop": ["END"], "seed": 7, "max_completion_tokens": 64}
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=user("sampling"), **ALWAYS, **settings, **more
    )
    got = json.loads(raw.parse().choices[0].message.content)
    equal(got, EXPECTED["sampling"], "what the vendor got")
    if more:
        dropped = {name.strip() for name in raw.headers.get("x-gateway-dropped", "").split(",")}
        equal(dropped, set(EXPECTED["dropped"]) | {"frobnicate"}, "X-Gateway-Dropped")


def limit():
    choice = create("limit").choices[0]
    equal((choice.finish_reason, choice.message.content), ("length", "This goes on and on"), "choice")


def refusal():
    choice = create("refuse").choices[0]
    seen = [choice.finish_reason, choice.message.content, choice.message.refusal]
    equal(seen, EXPECTED["refusal"], "refusal")


def fails(kind, ask):
    try:
        ask()
    except kind as error:
        assert isinstance(error.body, dict), error.body
        equal(set(error.body), {"message", "type", "param", "code"}, "fields of the error")
        return error
    raise AssertionError(f"no {kind.__name__}")


def wrong_model():
    ask = lambda: client.chat.completions.create(model=EXPECTED["missing_model"], messages=user("hello"))
    error = fails(openai.NotFoundError, ask)
    equal((error.code, error.type), ("model_not_found", "invalid_request_error"), "error")


def wrong_value():
    error = fails(openai.BadRequestError, lambda: create("hello", temperature=5))
    equal((error.type, error.param), ("invalid_request_error", EXPECTED["wrong_param"]), "error")


def rate_limited():
    error = fails(openai.RateLimitError, lambda: create(unlike("rate-limited"), impatient))
    equal(error.code, "rate_limit_exceeded", "code")
    assert int(error.response.headers["retry-after"]) >= 1, error.response.headers


def overloaded():
    error = fails(openai.InternalServerError, lambda: create(unlike("overloaded"), impatient))
    equal(error.status_code, 503, "status")


def bad_key():
    """A retry is useless, and the SDK is told so."""
    text = unlike("bad-key")
    error = fails(openai.APIStatusError, lambda: create(text))
    equal((error.status_code, error.code), tuple(EXPECTED["bad_key"]), "error")
    equal(sent(text), 1, "requests")
    if error.status_code == 502:
        equal(error.response.headers.get("x-should-retry"), "false", "x-should-retry")
    assert "sk-secret" not in error.message or not EXPECTED["is_gateway"], error.message


def retries():
    equal(create(unlike("fail-once")).choices[0].message.content, HELLO, "text")


def retries_when_told():
    begun = time.monotonic()
    equal(create(unlike("rate-limited-once")).choices[0].message.content, HELLO, "text")
    assert time.monotonic() - begun >= 1, "nobody waited as the vendor asked"


def cut():
    came, reasons = "", []
    try:
        for chunk in create(unlike("cut"), stream=True):
            for choice in chunk.choices:
                came += choice.delta.content or ""
                reasons += [choice.finish_reason] if choice.finish_reason else []
    except (openai.APIError, httpx.HTTPError) as error:
        if EXPECTED["is_gateway"]:
            equal((type(error), error.code), (openai.APIError, "stream_interrupted"), "error")
    else:
        raise AssertionError("a cut stream ended like a whole one")
    equal((came, reasons), (HELLO, []), "what came before")


def abort():
    text = unlike("slow")
    with create(text, stream=True) as chunks:
        pieces = (choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content)
        # Who reads late finds several pieces in one.
        came = "".join(next(pieces) for _ in range(3))
        assert came.startswith("0 1 2 ") and len(came) < len(" ".join(map(str, range(40)))), came
    return text


def abort_by_timeout():
    text = unlike("hang")
    try:
        create(text, impatient.with_options(timeout=0.5))
    except openai.APITimeoutError:
        return text
    raise AssertionError("something came")


def models():
    listed = list(client.models.list())
    ids = [model.id for model in listed]
    assert EXPECTED["listed_as"] in ids, ids
    equal(len(ids), len(set(ids)), "ids")
    assert all(model.object == "model" and model.owned_by and model.created >= 0 for model in listed), listed
    equal(client.models.retrieve(EXPECTED["listed_as"]).id, EXPECTED["listed_as"], "id")
    error = fails(openai.NotFoundError, lambda: client.models.retrieve("no-such-model"))
    equal(error.code, "model_not_found", "code")


def embeddings():
    model = EXPECTED["embedding_model"]
    if model is None:
        ask = lambda: client.embeddings.create(model=MODEL, input="Tōkyō")
        error = fails((openai.BadRequestError, openai.NotFoundError), ask)
        return
    one = client.embeddings.create(model=model, input="Tōkyō")
    equal((one.object, one.data[0].object, one.data[0].index), ("list", "embedding", 0), "form")
    equal(one.data[0].embedding, vector("Tōkyō"), "vector")
    assert one.usage.prompt_tokens > 0 and one.usage.total_tokens == one.usage.prompt_tokens, one.usage
    equal(requests_of_embeddings()[0]["encoding_format"], "base64", "what this SDK asks for by itself")
    # The first is known by now, and may come from a cache.
    texts = ["Tōkyō", "Paris", "🦀"]
    several = client.embeddings.create(model=model, input=texts, encoding_format="float")
    equal([each.index for each in several.data], [0, 1, 2], "indices")
    equal([each.embedding for each in several.data], [vector(text) for text in texts], "vectors")
    shorter = client.embeddings.create(model=model, input=texts, dimensions=4)
    equal([each.embedding for each in shorter.data], [vector(text, 4) for text in texts], "shorter vectors")


def requests_of_embeddings():
    return [body for body in requests if body and "input" in body]


run({
    "abort": abort,
    "timeout and abort": abort_by_timeout,
    "retries": retries,
    "retries when told": retries_when_told,
    "rate limited": rate_limited,
    "overloaded": overloaded,
    "bad key": bad_key,
    "cut": cut,
    "chat": chat,
    "stream": lambda: stream(include_usage=True),
    "stream without usage": lambda: stream(include_usage=False),
    "stream helper": stream_helper,
    "asynchronous": asynchronous,
    "system": system,
    "tools": lambda: tools(whole_turn),
    "tools streamed": lambda: tools(streamed_turn),
    "json schema": json_schema,
    "json mode": json_mode,
    "picture": picture,
    "picture by address": picture_by_address,
    "sampling": sampling,
    "limit": limit,
    "refusal": refusal,
    "wrong model": wrong_model,
    "wrong value": wrong_value,
    "models": models,
    "embeddings": embeddings,
})
