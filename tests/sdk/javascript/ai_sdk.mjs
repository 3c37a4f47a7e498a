// The Vercel AI SDK, with its provider for compatible services and with its provider for OpenAI.

import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, embed, embedMany, generateObject, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import {
  BASE_URL, EXPECTED, FUNCTIONS, HELLO, MODEL, PNG, PNG_LENGTH, equal, failure, run, unlike, vector,
} from "./checks.mjs";

// It warns of settings that it leaves out, on the channel of our results.
globalThis.AI_SDK_LOG_WARNINGS = false;

const apiKey = process.env.OPENAI_API_KEY;
const compatible = createOpenAICompatible({
  // Only under this name does it bring back what Gemini signed.
  name: "google",
  baseURL: BASE_URL,
  apiKey,
  includeUsage: true,
  supportsStructuredOutputs: true,
  // Otherwise it fetches pictures itself.
  supportedUrls: () => ({ "image/*": [/^https:/] }),
});
const openai = createOpenAI({ baseURL: BASE_URL, apiKey });

const CLIENTS = {
  compatible: { chat: id => compatible.chatModel(id), embedding: id => compatible.embeddingModel(id) },
  openai: { chat: id => openai.chat(id), embedding: id => openai.embedding(id) },
};

const city = jsonSchema({
  type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false,
});
const tools = Object.fromEntries(
  Object.entries(FUNCTIONS).map(([name, execute]) => [name, tool({ description: name, inputSchema: city, execute })]),
);
// Some models are asked in another dialect when there are tools; then there always are.
const always = EXPECTED.tools_always ? { tools } : {};

/** A stream, and what throws the error that it had: by itself it only prints that. */
const streaming = options => {
  const errors = [];
  const result = streamText({ ...options, onError: ({ error }) => errors.push(error) });
  const throwError = () => {
    for (const error of errors) {
      throw error;
    }
  };
  return { result, throwError };
};

const checksOf = (who, { chat, embedding }) => {
  const model = chat(MODEL);
  const ask = (prompt, more) => generateText({ model, prompt, ...always, ...more });

  const expectUsage = usage => {
    const [prompt, completion] = EXPECTED.usage;
    equal([usage.inputTokens, usage.outputTokens, usage.totalTokens], [prompt, completion, prompt + completion], "usage");
  };

  const text = async () => {
    const { text, finishReason, usage, response } = await ask("hello");
    equal([text, finishReason, response.modelId], [HELLO, "stop", EXPECTED.answers_as], "answer");
    expectUsage(usage);
  };

  const stream = async () => {
    const { result, throwError } = streaming({ model, prompt: "hello", ...always });
    const pieces = [];
    for await (const piece of result.textStream) {
      pieces.push(piece);
    }
    throwError();
    equal(pieces.join(""), HELLO, "text");
    equal(await result.finishReason, "stop", "finish reason");
    expectUsage(await result.usage);
  };

  const system = async () => {
    const { text } = await ask("system", { system: "Be brief.\n\nBe kind: naïve ☕." });
    equal(text, "Be brief.\n\nBe kind: naïve ☕.", "instructions");
  };

  const whole = options => generateText(options);
  const streamed = async options => {
    const { result, throwError } = streaming(options);
    await result.consumeStream();
    throwError();
    return { response: await result.response, steps: await result.steps };
  };

  /** Two calls at once, an answer, one more call, an answer; the SDK runs the tools. */
  const conversation = async run => {
    const messages = [];
    for (const content of ["weather", "later"]) {
      messages.push({ role: "user", content });
      const { response, steps } = await run({ model, system: "Be brief.", messages, tools, stopWhen: stepCountIs(3) });
      equal(steps.map(step => step.finishReason), ["tool-calls", "stop"], "finish reasons");
      messages.push(...response.messages);
    }
    return [{ role: "system", content: "Be brief." }, ...messages.flatMap(normal)];
  };

  /** A message in OpenAI's form, without ids. */
  const normal = ({ role, content }) => {
    if (typeof content === "string") {
      return [{ role, content }];
    }
    if (role === "tool") {
      return content.map(({ output }) => ({ role, content: output.value }));
    }
    const said = content.filter(part => part.type === "text").map(part => part.text).join("");
    const calls = content.filter(part => part.type === "tool-call").map(({ toolName, input }) => [toolName, input]);
    return [{ role, content: said, ...(calls.length && { calls }) }];
  };

  const Weather = z.object({
    city: z.string(),
    degrees: z.number().int(),
    is_sunny: z.boolean(),
    tags: z.array(z.object({ name: z.string(), weight: z.number() })),
  });
  const weather = { city: "Tōkyō", degrees: 7, is_sunny: true, tags: [{ name: "Tōkyō", weight: 7.5 }] };

  const object = async () => {
    const { object } = await generateObject({ model, prompt: "json with a schema", schema: Weather });
    equal(object, weather, "object");
  };

  const output = async () => {
    const output = Output.object({ schema: Weather });
    const { result, throwError } = streaming({ model, prompt: "json with a schema", ...always, output });
    const partial = [];
    for await (const object of result.partialOutputStream) {
      partial.push(object);
    }
    throwError();
    assert(partial.length > 0, "nothing came before the end");
    equal(await result.output, weather, "object");
  };

  const jsonMode = async () => {
    const { object } = await generateObject({ model, prompt: "json", output: "no-schema" });
    equal(object, { city: "Tōkyō" }, "object");
  };

  const show = image => {
    const content = [{ type: "text", text: "picture" }, { type: "image", image }];
    const messages = [{ role: "user", content }];
    return generateText({ model: chat(EXPECTED.picture_model), messages, ...always, maxRetries: 0 });
  };

  const picture = async () => {
    equal((await show(`data:image/png;base64,${PNG}`)).text, `image/png of ${PNG_LENGTH} bytes`, "picture");
    const url = "https://example.com/a.png";
    if (EXPECTED.https_images) {
      equal((await show(new URL(url))).text, `picture at ${url}`, "picture");
    } else {
      const error = await failure(() => show(new URL(url)));
      equal(error.statusCode, 400, "status");
    }
  };

  const errors = async () => {
    const missing = chat(EXPECTED.missing_model);
    const wrongModel = await failure(() => generateText({ model: missing, prompt: "hello", maxRetries: 0 }));
    equal([wrongModel.statusCode, wrongModel.data?.error?.code], [404, "model_not_found"], "wrong model");
    const badKey = await failure(() => ask(unlike("bad-key", ` and ${who}`), { maxRetries: 0 }));
    equal([badKey.statusCode, badKey.data?.error?.code], EXPECTED.bad_key, "bad key");
    const limited = await failure(() => ask(unlike("rate-limited", ` and ${who}`), { maxRetries: 0 }));
    equal([limited.statusCode, limited.isRetryable], [429, true], "rate limited");
    assert(Number(limited.responseHeaders["retry-after"]) >= 1, "no Retry-After");
  };

  const limit = async () => {
    const { text, finishReason } = await ask("limit");
    equal([text, finishReason], ["This goes on and on", "length"], "answer");
  };

  const retries = async () => {
    equal((await ask(unlike("fail-once", ` and ${who}`))).text, HELLO, "text");
    const begun = performance.now();
    equal((await ask(unlike("rate-limited-once", ` and ${who}`))).text, HELLO, "text");
    assert(performance.now() - begun >= 1_000, "nobody waited as the vendor asked");
  };

  const cut = async () => {
    const parts = [];
    const { fullStream } = streamText({ model, prompt: unlike("cut", ` and ${who}`), ...always, onError: () => {} });
    try {
      for await (const part of fullStream) {
        parts.push(part);
      }
    } catch (error) {
      // A connection that breaks is thrown; a service that says what happened is a part.
      assert(!EXPECTED.is_gateway, error);
      parts.push({ type: "error", error });
    }
    const came = parts.filter(part => part.type === "text-delta").map(part => part.text).join("");
    equal(came, HELLO, "text");
    assert(parts.some(part => part.type === "error"), parts.map(part => part.type).join());
    const reasons = parts.filter(part => part.type === "finish").map(part => part.finishReason);
    assert(reasons.every(reason => reason === "error"), reasons.join());
  };

  const abort = async () => {
    const prompt = unlike("slow", ` and ${who}`);
    const abort = new AbortController();
    const pieces = [];
    const parts = [];
    const { fullStream } = streamText({ model, prompt, ...always, abortSignal: abort.signal });
    for await (const part of fullStream) {
      parts.push(part.type);
      if (part.type === "text-delta" && pieces.push(part.text) === 1) {
        abort.abort();
      }
    }
    // Who reads late finds several pieces in one.
    assert(pieces.join("").startsWith("0 "), pieces.join("|"));
    assert(parts.includes("abort") && !parts.includes("finish"), parts.join());
    return prompt;
  };

  const embeddings = async () => {
    if (!EXPECTED.embedding_model) {
      const error = await failure(() => embed({ model: embedding(MODEL), value: "Tōkyō", maxRetries: 0 }));
      assert([400, 404].includes(error.statusCode), error);
      return;
    }
    const model = embedding(EXPECTED.embedding_model);
    equal((await embed({ model, value: "Tōkyō" })).embedding, vector("Tōkyō"), "vector");
    const values = ["Tōkyō", "Paris", "🦀"];
    const providerOptions = { google: { dimensions: 4 }, openai: { dimensions: 4 } };
    const { embeddings } = await embedMany({ model, values, providerOptions });
    equal(embeddings, values.map(value => vector(value, 4)), "vectors");
  };

  return {
    abort,
    retries,
    cut,
    text,
    stream,
    system,
    tools: () => conversation(whole),
    "tools streamed": () => conversation(streamed),
    object,
    output,
    "json mode": jsonMode,
    picture,
    errors,
    limit,
    embeddings,
  };
};

const all = Object.entries(CLIENTS).flatMap(([who, client]) =>
  Object.entries(checksOf(who, client)).map(([check, attempt]) => [`${who} ${check}`, attempt]),
);
await run(Object.fromEntries(all));
