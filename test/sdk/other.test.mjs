import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import OpenAI from 'openai'
import { answer, client, collect, fake, model, question, sameBytes } from './harness.mjs'

beforeEach(fake.reset)

test('models', async () => {
  const list = await collect(await client().models.list())
  assert.deepEqual(list.map(one => one.id), [model])
  assert.equal((await client().models.retrieve(model)).id, model)
  await assert.rejects(client().models.retrieve('nobody'), OpenAI.NotFoundError)
})

test('a legacy completion', async () => {
  await fake.answers()
  const got = await client().completions.create({ model, prompt: question, max_tokens: 5 })
  assert.equal(got.choices[0].text, answer)
  await sameBytes()
})

test('embeddings, which the SDK asks for in base64', async () => {
  const got = await client().embeddings.create({ model, input: ['a', 'b'] })
  assert.deepEqual(got.data.map(one => one.embedding[0]), [0.5, 1])
  await sameBytes()
})

test('embeddings in numbers', async () => {
  const got = await client().embeddings.create({ model, input: 'a', encoding_format: 'float', dimensions: 2 })
  assert.equal(got.data[0].embedding.length, 2)
  await sameBytes()
})

test('a response', async () => {
  await fake.answers()
  const got = await client().responses.create({ model, input: question, reasoning: { effort: 'low' } })
  assert.equal(got.output_text, answer)
  assert.equal(got.usage.input_tokens_details.cached_tokens, 3)
  assert.ok(got._request_id)
  await sameBytes()
})

test('a moderation', async () => {
  assert.equal((await client().moderations.create({ model, input: 'x' })).results[0].flagged, false)
  await sameBytes()
})

test('a picture', async () => {
  assert.equal((await client().images.generate({ model, prompt: 'a lighthouse' })).data[0].b64_json, 'aW1hZ2U=')
  await sameBytes()
})

test('speech is bytes', async () => {
  const speech = await client().audio.speech.create({ model, voice: 'alloy', input: 'hello' })
  const bytes = Buffer.from(await speech.arrayBuffer())
  assert.deepEqual(bytes, Buffer.from('ID3\x00\x01\xff\xfb\x90\x00', 'latin1'))
})

test('reranking, by a path that the SDK has no name for', async () => {
  const got = await client().post('/rerank', { body: { model, query: 'q', documents: ['a', 'b'] } })
  assert.equal(got.results.length, 2)
  await sameBytes()
})
