// What the scripts have in common: how they are called, and how they say what they saw. As in ../python/checks.py.

import assert from "node:assert/strict";

const [, script, baseUrl, model, expected] = process.argv;

export const BASE_URL = baseUrl;
export const MODEL = model;
export const EXPECTED = JSON.parse(expected);

export const HELLO = "Hello, wörld — naïve 東京 🦀👩\u200d🚀 \"quoted\"\n";

// A red pixel.
export const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
export const PNG_LENGTH = 70;

export const FUNCTIONS = {
  get_weather: ({ city }) => `21 °C in ${city}, «sunny» ☀️`,
  get_time: ({ city }) => `{"city": "${city}", "time": "18:05"}`,
};

/** A question that nobody else asks: what follows the scenario's name only tells questions apart. */
export const unlike = (name, who = "") => `${name} for ${script.split("/").pop()}${who} with ${MODEL}`;

export const equal = (seen, expected, what) => assert.deepEqual(seen, expected, what && `${what}: ${JSON.stringify(seen)} where ${JSON.stringify(expected)} was expected`);

/** What the scripted vendors make of a text. */
export const vector = (text, dimensions = 8) => {
  const bytes = Buffer.from(text);
  const start = bytes.reduce((sum, byte) => sum + byte, 7 * bytes.length);
  return Array.from({ length: dimensions }, (_, at) => ((start + 13 * at) % 256) / 256 - 0.5);
};

/** The error that `ask` ends in. */
export const failure = async ask => {
  let done;
  try {
    done = await ask();
  } catch (error) {
    return error;
  }
  throw new Error(`this should have failed: ${JSON.stringify(done)}`);
};

/** Runs all at once, because many of them wait. A check returns what is to be printed. */
export const run = async checks => {
  const attempts = Object.entries(checks).map(async ([check, attempt]) => {
    try {
      const seen = (await attempt()) ?? null;
      console.log(JSON.stringify({ check, seen }));
    } catch (error) {
      console.error(`${check} failed:`, error);
      process.exitCode = 1;
    }
  });
  await Promise.all(attempts);
};
