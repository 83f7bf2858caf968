// The npm package openai against a server with a tiny model: node npm_openai.cjs http://127.0.0.1:PORT
const assert = require('node:assert/strict');
const {default: OpenAI, BadRequestError, NotFoundError} = require('openai');
const {zodFunction, zodResponseFormat} = require('openai/helpers/zod');
const {z} = require('zod');

const client = new OpenAI({baseURL: process.argv[2] + '/v1', apiKey: 'none', maxRetries: 0});
const messages = [{role: 'user', content: 'whales'}];
const ask = {model: 'run', messages, max_tokens: 8, temperature: 0};
const Shape = z.object({a: z.enum(['x', 'y'])});

async function chatAndStream() {
  const whole = await client.chat.completions.create(ask);
  assert.equal(whole.usage.completion_tokens, 8);
  let text = '', usage;
  const stream = await client.chat.completions.create(
    {...ask, stream: true, stream_options: {include_usage: true}});
  for await (const piece of stream) {
    text += piece.choices[0]?.delta.content ?? '';
    usage = piece.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(usage.completion_tokens, 8);
}

async function toolsAndSchemas() {
  const tool = zodFunction({name: 'find', parameters: Shape});
  const called = await client.chat.completions.parse(
    {...ask, max_tokens: 400, temperature: 1, seed: 4, tools: [tool], tool_choice: 'required', parallel_tool_calls: false});
  const [call] = called.choices[0].message.tool_calls;
  assert.equal(call.function.name, 'find');
  assert.ok(['x', 'y'].includes(call.function.parsed_arguments.a));
  const shaped = await client.chat.completions.parse(
    {...ask, max_tokens: 400, response_format: zodResponseFormat(Shape, 'shape')});
  assert.ok(['x', 'y'].includes(shaped.choices[0].message.parsed.a));
}

async function responses() {
  const whole = await client.responses.create({model: 'run', input: 'whales', max_output_tokens: 20, temperature: 0});
  let text = '';
  const stream = await client.responses.create(
    {model: 'run', input: 'whales', max_output_tokens: 20, temperature: 0, stream: true});
  for await (const event of stream) if (event.type === 'response.output_text.delta') text += event.delta;
  assert.equal(text, whole.output_text);
}

async function embeddings() {
  const input = ['ships and whales', 'the sea'];
  const packed = await client.embeddings.create({model: 'run', input});
  const plain = await client.embeddings.create({model: 'run', input, encoding_format: 'float'});
  assert.equal(packed.data.length, 2);
  assert.deepEqual([...packed.data[1].embedding].map(Math.fround), plain.data[1].embedding.map(Math.fround));
}

async function errors() {
  await assert.rejects(client.chat.completions.create({...ask, model: 'nothing'}), NotFoundError);
  await assert.rejects(client.chat.completions.create({...ask, messages: []}), BadRequestError);
  await assert.rejects(client.chat.completions.create({...ask, n: 1000}), {status: 422, param: 'n'});
  await assert.rejects(client.embeddings.create({model: 'run', input: ''}), BadRequestError);
}

(async () => {
  for (const test of [chatAndStream, toolsAndSchemas, responses, embeddings, errors]) await test();
})().catch(error => {
  console.error(error);
  process.exit(1);
});
