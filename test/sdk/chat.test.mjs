import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { answer, ask, client, fake, model, sameBytes, upstreamModel } from './harness.mjs'

beforeEach(fake.reset)

test('a chat', async () => {
  await fake.answers()
  const got = await client().chat.completions.create(ask())
  assert.equal(got.choices[0].message.content, answer)
  assert.equal(got.choices[0].finish_reason, 'stop')
  assert.equal(got.model, upstreamModel)
  assert.equal(got.usage.total_tokens, 18)
  assert.ok(got._request_id)
  await sameBytes()
})

test('the provider\'s headers come through', async () => {
  const { response, request_id } = await client().chat.completions.create(ask()).withResponse()
  assert.equal(response.headers.get('openai-processing-ms'), '12')
  assert.equal(response.headers.get('x-ratelimit-remaining-requests'), '99')
  assert.equal(response.headers.get('x-request-id'), request_id)
})

test('several choices', async () => {
  const got = await client().chat.completions.create(ask({ n: 3 }))
  assert.deepEqual(got.choices.map(choice => choice.index), [0, 1, 2])
})

test('tools, and their result', async () => {
  const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } } }]
  const got = await client().chat.completions.create(ask({ tools, tool_choice: 'auto', parallel_tool_calls: false }))
  const [call] = got.choices[0].message.tool_calls
  assert.equal(got.choices[0].finish_reason, 'tool_calls')
  assert.deepEqual(JSON.parse(call.function.arguments), { city: 'Paris' })
  await sameBytes()

  await fake.answers()
  const { messages } = ask()
  messages.push(got.choices[0].message, { role: 'tool', tool_call_id: call.id, content: 'rain' })
  const told = await client().chat.completions.create(ask({ messages }))
  assert.equal(told.choices[0].message.content, answer)
  await sameBytes()
})

test('an answer in JSON', async () => {
  const got = await client().chat.completions.create(ask({ response_format: { type: 'json_schema', json_schema: { name: 'a', strict: true, schema: { type: 'object' } } } }))
  assert.deepEqual(JSON.parse(got.choices[0].message.content), { answer: 42 })
  await sameBytes()
})

test('pictures', async () => {
  const content = [{ type: 'text', text: 'What is in it?' }, { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=', detail: 'low' } }]
  await client().chat.completions.create(ask({ messages: [{ role: 'user', content }] }))
  await sameBytes()
})

test('unknown parameters', async () => {
  await client().chat.completions.create({ x_future: { model, deep: [1e21, 0.1, '🌍\u2028"'] }, ...ask(), seed: 7, metadata: { a: 'b' }, x_last: null })
  const seen = JSON.parse((await fake.last()).body)
  assert.equal(seen.model, upstreamModel)
  assert.equal(seen.x_future.model, model, 'a model that is not the request\'s own was changed')
  assert.deepEqual(seen.x_future.deep, [1e21, 0.1, '🌍\u2028"'])
})

test('fifty at once, none mixed up', async () => {
  await fake.handle('')
  const one = client()
  await Promise.all(Array.from({ length: 50 }, async (_, i) => {
    const got = await one.chat.completions.create(ask({ n: 1 + i % 5 }))
    assert.equal(got.choices.length, 1 + i % 5)
  }))
})
