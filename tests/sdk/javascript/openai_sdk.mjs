// The official OpenAI SDK for JavaScript.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import {
  BASE_URL, EXPECTED, FUNCTIONS, HELLO, MODEL, PNG, PNG_LENGTH, equal, failure, run, unlike, vector,
} from "./checks.mjs";

const sent = [];
const noting = (url, init) => {
  sent.push(init.body ?? "");
  return fetch(url, init);
};
const client = new OpenAI({ baseURL: BASE_URL, fetch: noting });
const impatient = client.withOptions({ maxRetries: 0 });

const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const tools = Object.keys(FUNCTIONS).map(name => ({ type: "function", function: { name, parameters, strict: true } }));
// Some models are asked in another dialect when there are tools; then there always are.
const always = EXPECTED.tools_always ? { tools } : {};

const user = content => [{ role: "user", content }];
const create = (text, more = {}, from = client) =>
  from.chat.completions.create({ model: MODEL, messages: user(text), ...always, ...more });
const first = async completion => (await completion).choices[0];

const expectUsage = usage => {
  const [prompt, completion, cached, reasoning] = EXPECTED.usage;
  const seen = [
    usage.prompt_tokens,
    usage.completion_tokens,
    usage.total_tokens,
    usage.prompt_tokens_details?.cached_tokens ?? 0,
    usage.completion_tokens_details?.reasoning_tokens ?? 0,
  ];
  equal(seen, [prompt, completion, prompt + completion, cached, reasoning], "usage");
};

const chat = async () => {
  const completion = await create("hello");
  equal([completion.object, completion.model], ["chat.completion", EXPECTED.answers_as], "head");
  const [choice] = completion.choices;
  equal([choice.index, choice.finish_reason], [0, "stop"], "choice");
  equal([choice.message.role, choice.message.content, choice.message.refusal], ["assistant", HELLO, null], "message");
  expectUsage(completion.usage);
};

const stream = async () => {
  const chunks = [];
  for await (const chunk of await create("hello", { stream: true, stream_options: { include_usage: true } })) {
    chunks.push(chunk);
  }
  const last = chunks.pop();
  equal(last.choices, [], "choices of the chunk with usage");
  expectUsage(last.usage);
  // The others have none, and say so.
  assert(chunks.every(chunk => chunk.usage === null && chunk.choices.length === 1), JSON.stringify(chunks));
  equal(chunks.map(chunk => chunk.choices[0].delta.content ?? "").join(""), HELLO, "text");
  equal(chunks.map(chunk => chunk.choices[0].finish_reason).filter(Boolean), ["stop"], "finish reasons");
};

const streamHelper = async () => {
  const completion = await client.chat.completions.stream({ model: MODEL, messages: user("hello"), ...always }).finalChatCompletion();
  equal(completion.choices[0].message.content, HELLO, "text");
};

const system = async () => {
  const messages = [
    { role: "system", content: "Be brief." },
    { role: "developer", content: [{ type: "text", text: "Be kind: naïve ☕." }] },
    ...user("system"),
  ];
  const { message } = await first(client.chat.completions.create({ model: MODEL, messages, ...always }));
  equal(message.content, "Be brief.\n\nBe kind: naïve ☕.", "instructions");
};

/** A message without ids, and without what is empty. */
const normal = ({ role, content, tool_calls }) => ({
  role,
  content: content ?? "",
  ...(tool_calls?.length && {
    calls: tool_calls.map(call => [call.function.name, JSON.parse(call.function.arguments)]),
  }),
});

const wholeTurn = messages => first(client.chat.completions.create({ model: MODEL, messages, tools }));
/** The SDK puts the message together. */
const streamedTurn = messages =>
  first(client.chat.completions.stream({ model: MODEL, messages, tools }).finalChatCompletion());

/** Two calls at once, an answer, one more call, an answer. */
const conversation = async turn => {
  const messages = [{ role: "system", content: "Be brief." }];
  for (const question of ["weather", "later"]) {
    messages.push(...user(question));
    const { message, finish_reason } = await turn(messages);
    equal(finish_reason, "tool_calls", "finish reason");
    messages.push(message);
    for (const { id, function: called } of message.tool_calls) {
      const content = FUNCTIONS[called.name](JSON.parse(called.arguments));
      messages.push({ role: "tool", tool_call_id: id, content });
    }
    const answer = await turn(messages);
    equal(answer.finish_reason, "stop", "finish reason");
    messages.push(answer.message);
  }
  return messages.map(normal);
};

/** The SDK runs the tools itself. */
const runTools = async () => {
  const runnable = Object.entries(FUNCTIONS).map(([name, called]) => ({
    type: "function",
    function: { name, parameters, parse: JSON.parse, function: called },
  }));
  const runner = client.chat.completions.runTools({ model: MODEL, messages: user("weather"), tools: runnable, stream: true });
  const text = await runner.finalContent();
  equal(text, `Paris: ${FUNCTIONS.get_weather({ city: "Paris" })}; Tōkyō: ${FUNCTIONS.get_time({ city: "Tōkyō" })}`, "text");
};

const Weather = z.object({
  city: z.string(),
  degrees: z.number().int(),
  is_sunny: z.boolean(),
  tags: z.array(z.object({ name: z.string(), weight: z.number() })),
});

const jsonSchema = async () => {
  const response_format = zodResponseFormat(Weather, "weather");
  const completion = await client.chat.completions.parse({
    model: MODEL, messages: user("json with a schema"), response_format, ...always,
  });
  const { parsed } = completion.choices[0].message;
  equal(parsed, { city: "Tōkyō", degrees: 7, is_sunny: true, tags: [{ name: "Tōkyō", weight: 7.5 }] }, "parsed");
};

const jsonMode = async () => {
  const { message } = await first(create("json", { response_format: { type: "json_object" } }));
  equal(JSON.parse(message.content), { city: "Tōkyō" }, "JSON");
};

const show = url => {
  const content = [{ type: "text", text: "picture" }, { type: "image_url", image_url: { url } }];
  return first(client.chat.completions.create({ model: EXPECTED.picture_model, messages: user(content), ...always }));
};

const picture = async () => {
  const { message } = await show(`data:image/png;base64,${PNG}`);
  equal(message.content, `image/png of ${PNG_LENGTH} bytes`, "picture");
};

const pictureByAddress = async () => {
  const url = "https://example.com/a.png";
  if (EXPECTED.https_images) {
    equal((await show(url)).message.content, `picture at ${url}`, "picture");
    return;
  }
  const error = await failure(() => show(url));
  assert(error instanceof OpenAI.BadRequestError, error);
  assert(error.param?.startsWith("messages"), `the field is not named: ${JSON.stringify(error.error)}`);
};

const limit = async () => {
  const { finish_reason, message } = await first(create("limit"));
  equal([finish_reason, message.content], ["length", "This goes on and on"], "choice");
};

const refusal = async () => {
  const { finish_reason, message } = await first(create("refuse"));
  equal([finish_reason, message.content, message.refusal ?? null], EXPECTED.refusal, "refusal");
};

const wrongModel = async () => {
  const ask = () => client.chat.completions.create({ model: EXPECTED.missing_model, messages: user("hello") });
  const error = await failure(ask);
  assert(error instanceof OpenAI.NotFoundError, error);
  equal([error.code, error.type], ["model_not_found", "invalid_request_error"], "error");
};

const wrongValue = async () => {
  const error = await failure(() => create("hello", { temperature: 5 }));
  assert(error instanceof OpenAI.BadRequestError, error);
  equal([error.type, error.param], ["invalid_request_error", EXPECTED.wrong_param], "error");
};

const rateLimited = async () => {
  const error = await failure(() => create(unlike("rate-limited"), {}, impatient));
  assert(error instanceof OpenAI.RateLimitError, error);
  assert(Number(error.headers.get("retry-after")) >= 1, "no Retry-After");
};

const badKey = async () => {
  const text = unlike("bad-key");
  const error = await failure(() => create(text));
  equal([error.status, error.code], EXPECTED.bad_key, "error");
  equal(sent.filter(body => body.includes(text)).length, 1, "requests");
};

const retries = async () => {
  equal((await first(create(unlike("fail-once")))).message.content, HELLO, "text");
};

const retriesWhenTold = async () => {
  const begun = performance.now();
  equal((await first(create(unlike("rate-limited-once")))).message.content, HELLO, "text");
  assert(performance.now() - begun >= 1_000, "nobody waited as the vendor asked");
};

const cut = async () => {
  let came = "";
  const reasons = [];
  const error = await failure(async () => {
    for await (const chunk of await create(unlike("cut"), { stream: true })) {
      came += chunk.choices[0]?.delta.content ?? "";
      reasons.push(...chunk.choices.map(choice => choice.finish_reason).filter(Boolean));
    }
    return "a cut stream ended like a whole one";
  });
  equal([came, reasons], [HELLO, []], "what came before");
  if (EXPECTED.is_gateway) {
    assert(error instanceof OpenAI.APIError, error);
    equal(error.code, "stream_interrupted", "code");
  }
};

const abort = async () => {
  const text = unlike("slow");
  const abort = new AbortController();
  const pieces = [];
  const chunks = await client.chat.completions.create(
    { model: MODEL, messages: user(text), ...always, stream: true }, { signal: abort.signal },
  );
  // The SDK takes its own abort for an end.
  for await (const chunk of chunks) {
    const piece = chunk.choices[0]?.delta.content;
    if (piece && pieces.push(piece) === 1) {
      abort.abort();
    }
  }
  // Who reads late finds several pieces in one.
  assert(pieces.join("").startsWith("0 ") && !pieces.join("").includes("49 "), pieces.join("|"));
  return text;
};

const models = async () => {
  const ids = [];
  for await (const model of client.models.list()) {
    ids.push(model.id);
  }
  assert(ids.includes(EXPECTED.listed_as), ids.join());
  equal((await client.models.retrieve(EXPECTED.listed_as)).id, EXPECTED.listed_as, "id");
  assert((await failure(() => client.models.retrieve("no-such-model"))) instanceof OpenAI.NotFoundError);
};

const embeddings = async () => {
  const model = EXPECTED.embedding_model;
  if (!model) {
    const error = await failure(() => client.embeddings.create({ model: MODEL, input: "Tōkyō" }));
    assert([400, 404].includes(error.status), error);
    return;
  }
  const input = ["Tōkyō", "Paris", "🦀"];
  const one = await client.embeddings.create({ model, input: input[0] });
  equal(one.data.map(each => each.embedding), [vector(input[0])], "vector");
  const several = await client.embeddings.create({ model, input, dimensions: 4, encoding_format: "float" });
  equal(several.data.map(each => [each.index, each.embedding]), input.map((text, at) => [at, vector(text, 4)]), "vectors");
};

await run({
  abort,
  retries,
  "retries when told": retriesWhenTold,
  "rate limited": rateLimited,
  "bad key": badKey,
  cut,
  chat,
  stream,
  "stream helper": streamHelper,
  system,
  tools: () => conversation(wholeTurn),
  "tools streamed": () => conversation(streamedTurn),
  "run tools": runTools,
  "json schema": jsonSchema,
  "json mode": jsonMode,
  picture,
  "picture by address": pictureByAddress,
  limit,
  refusal,
  "wrong model": wrongModel,
  "wrong value": wrongValue,
  models,
  embeddings,
});
