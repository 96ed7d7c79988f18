// What people ask with OpenAI's client for JavaScript, as clients.py does with that for Python:
//
//     npm ci && node clients.mjs http://127.0.0.1:8000/v1 MODEL
import assert from "node:assert/strict";
import OpenAI from "openai";

const [baseURL, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0, timeout: 120_000 });
const messages = [{ role: "user", content: "What is the weather in Paris?" }];
const parameters = {
  type: "object",
  properties: { city: { enum: ["Paris", "Rome"] }, days: { type: "integer", minimum: 1, maximum: 5 } },
  required: ["city", "days"],
  additionalProperties: false,
};
const tools = [{ type: "function", function: { name: "weather", parameters, strict: true } }];
const held = (text) => {
  const { city, days, ...others } = JSON.parse(text);
  assert(["Paris", "Rome"].includes(city) && days >= 1 && days <= 5);
  assert.deepEqual(others, {});
};

// A chat whole and streamed, with the usage.
const asked = { model, messages, max_tokens: 8, temperature: 0 };
const whole = await client.chat.completions.create(asked);
let text = "", usage;
for await (const chunk of await client.chat.completions.create({ ...asked, stream: true, stream_options: { include_usage: true } })) {
  text += chunk.choices[0]?.delta.content ?? "";
  usage = chunk.usage ?? usage;
}
assert.equal(text, whole.choices[0].message.content);
assert.equal(usage.total_tokens, whole.usage.total_tokens);

// A call of a tool, in one piece and gathered by the client from pieces.
const call = { model, messages, tools, tool_choice: "required", max_tokens: 100 };
held((await client.chat.completions.create(call)).choices[0].message.tool_calls[0].function.arguments);
const stream = client.chat.completions.stream(call);
held((await stream.finalChatCompletion()).choices[0].message.tool_calls[0].function.arguments);

// An answer that a schema holds, and the newer API, whole and streamed.
const response_format = { type: "json_schema", json_schema: { name: "weather", schema: parameters, strict: true } };
held((await client.chat.completions.create({ model, messages, response_format, max_tokens: 100 })).choices[0].message.content);
const input = { model, input: "Say hello.", max_output_tokens: 12, temperature: 0 };
const response = await client.responses.create(input);
let said = "";
for await (const event of await client.responses.create({ ...input, stream: true })) {
  if (event.type === "response.output_text.delta") said += event.delta;
}
assert(said !== "" && said === response.output_text);

// Embeddings, models, and an error by its class.
const { data } = await client.embeddings.create({ model, input: ["A cat sleeps.", "Prices rose."] });
assert(Math.abs(data[0].embedding.reduce((sum, x) => sum + x * x, 0) - 1) < 1e-3);
assert.equal((await client.models.list()).data[0].id, model);
await assert.rejects(client.chat.completions.create({ ...asked, unknown: 1 }), OpenAI.BadRequestError);
console.log("passed");
