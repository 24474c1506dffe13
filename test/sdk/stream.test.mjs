import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import OpenAI from 'openai'
import { answer, ask, client, collect, fake, gateway, sameBytes, sameBytesBesideUsage, text } from './harness.mjs'

beforeEach(fake.reset)

test('a stream', async () => {
  await fake.answers()
  const chunks = await collect(await client().chat.completions.create(ask({ stream: true })))
  assert.equal(text(chunks), answer)
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop')
  assert.ok(chunks.every(chunk => chunk.choices.length > 0 && !chunk.usage), 'a chunk that nobody asked for')
  await sameBytesBesideUsage()
})

test('a stream with usage', async () => {
  const chunks = await collect(await client().chat.completions.create(ask({ stream: true, stream_options: { include_usage: true } })))
  assert.equal(chunks.at(-1).choices.length, 0)
  assert.equal(chunks.at(-1).usage.completion_tokens_details.reasoning_tokens, 2)
  await sameBytes()
})

test('usage can be declined', async () => {
  const chunks = await collect(await client().chat.completions.create(ask({ stream: true, stream_options: { include_usage: false } })))
  assert.ok(chunks.every(chunk => chunk.choices.length > 0 && !chunk.usage))
})

test('streamed tool calls', async () => {
  const tools = [{ type: 'function', function: { name: 'weather', parameters: {} } }]
  const runner = client().chat.completions.stream(ask({ tools }))
  const final = await runner.finalChatCompletion()
  assert.equal(final.choices[0].finish_reason, 'tool_calls')
  assert.equal(final.choices[0].message.tool_calls[0].function.arguments, '{"city":"Paris"}')
})

test('a stream of several choices', async () => {
  await fake.answers()
  const final = await client().chat.completions.stream(ask({ n: 2 })).finalChatCompletion()
  assert.deepEqual(final.choices.map(choice => choice.message.content), [answer, answer])
})

for (const pieces of ['split=1', 'split=7 crlf', 'cr', 'until-close', 'gap=1ms']) {
  test(`a stream in odd pieces: ${pieces}`, async () => {
    await fake.script(`text=世界|🌍|é ${pieces}`)
    const stream = await client().chat.completions.create(ask({ stream: true }))
    assert.equal(text(await collect(stream)), '世界🌍é')
  })
}

test('leaving a stream closes the provider\'s connection', async () => {
  await fake.script('gap=1h')
  const stream = await client().chat.completions.create(ask({ stream: true }))
  for await (const _ of stream) break
  stream.controller.abort()
  await fake.gone()
})

test('leaving before the answer closes it too', async () => {
  await fake.script('delay=1h')
  const leaving = new AbortController()
  const request = client().chat.completions.create(ask(), { signal: leaving.signal })
  while ((await fake.seen()).length === 0);
  leaving.abort()
  await assert.rejects(request, OpenAI.APIUserAbortError)
  await fake.gone()
})

for (const cut of ['cut=2 by=rst', 'cut=2 by=fin', 'cut=2 half by=fin']) {
  test(`a stream that is cut is an error: ${cut}`, async () => {
    await fake.script(`text=one|two|three ${cut}`)
    await assert.rejects(async () => collect(await client().chat.completions.create(ask({ stream: true }))))
  })
}

test('a stream that ends without its end is a typed error', { skip: !gateway && 'only a gateway can know' }, async () => {
  await fake.script('text=one|two no-finish no-done')
  const chunks = []
  await assert.rejects(async () => {
    for await (const chunk of await client().chat.completions.create(ask({ stream: true }))) chunks.push(chunk)
  }, error => error instanceof OpenAI.APIError && error.code === 'upstream_stream_error')
  assert.equal(text(chunks), 'onetwo')
})

test('a stream of a response', async () => {
  await fake.answers()
  const events = await collect(await client().responses.create({ model: ask().model, input: 'hello', stream: true }))
  assert.equal(events.filter(event => event.type === 'response.output_text.delta').map(event => event.delta).join(''), answer)
  assert.equal(events.at(-1).type, 'response.completed')
  assert.equal(events.at(-1).response.usage.output_tokens, 7)
  await sameBytes()
})

test('a stream of a legacy completion', async () => {
  await fake.answers()
  const chunks = await collect(await client().completions.create({ model: ask().model, prompt: 'say', stream: true }))
  assert.equal(chunks.map(chunk => chunk.choices[0].text).join(''), answer)
  await sameBytesBesideUsage()
})
