// The official `openai` client of npm against `portcullis serve`: node openai_client.mjs URL KEY "<text that it must write>"
import assert from "node:assert/strict";

const { default: OpenAI, VERSION } = await import(process.env.OPENAI_MODULE);
const [baseURL, apiKey, expected] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey });

const models = [];
for await (const model of client.models.list()) models.push(model.id);
assert.deepEqual(models, ["demo-small"]);

const asked = { model: "demo-small", prompt: "In the beginning", max_tokens: 24, temperature: 0 };
const whole = await client.completions.create(asked);
assert.equal(whole.choices[0].text, JSON.parse(expected));
let streamed = "";
for await (const piece of await client.completions.create({ ...asked, stream: true })) streamed += piece.choices[0].text;
assert.equal(streamed, whole.choices[0].text);

// Leaving in the middle of a stream ends it; the next request is answered.
const left = await client.completions.create({ ...asked, max_tokens: 200, stream: true });
for await (const _ of left) break;
assert.equal((await client.completions.create({ ...asked, max_tokens: 1 })).usage.completion_tokens, 1);

await assert.rejects(client.completions.create({ ...asked, suffix: "the end" }), OpenAI.BadRequestError);
await assert.rejects(client.completions.create({ ...asked, model: "gpt-4" }), OpenAI.NotFoundError);
await assert.rejects(new OpenAI({ baseURL, apiKey: "another-key-than-it" }).models.list(), OpenAI.AuthenticationError);
console.log(`openai ${VERSION ?? ""} (npm): whole, streamed, left, refused`);
