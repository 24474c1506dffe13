// What the test files share. The Go test that runs them says by environment
// what to talk to: the fake provider itself, or the gateway before it.
import assert from 'node:assert/strict'
import OpenAI from 'openai'

const env = name => {
  assert.ok(process.env[name], `${name} is not set: run these by go test ./test/sdk`)
  return process.env[name]
}

export const gateway = env('TARGET') === 'gateway'
export const model = env('MODEL') // what clients call it
export const upstreamModel = env('UPSTREAM_MODEL') // what the provider calls it
export const question = env('SECRET_PROMPT')
export const answer = env('SECRET_ANSWER')
export const key = name => env(`KEY_${name}`)

let sent // the body of the last request, as the SDK gave it to fetch

// client makes an SDK client that does not retry unless told so.
export const client = (options = {}) => new OpenAI({
  baseURL: env('BASE_URL'),
  apiKey: env('API_KEY'),
  maxRetries: 0,
  timeout: 30_000,
  fetch: (url, init) => {
    sent = init.body
    return fetch(url, init)
  },
  ...options,
})

export const ask = (more = {}) => ({ model, messages: [{ role: 'user', content: question }], ...more })

const control = async (path, init) => {
  const response = await fetch(env('CONTROL_URL') + path, init)
  const text = await response.text()
  assert.equal(response.status, 200, `${path}: ${text}`)
  return text
}

// fake steers the fake provider: see its package comment for the scripts.
export const fake = {
  script: (...lines) => control('/script', { method: 'POST', body: lines.join('\n') }),
  handle: line => control('/handle', { method: 'POST', body: line }),
  answers: () => fake.handle(`text=${answer.split(' ').join('+|')}`),
  reset: () => control('/reset', { method: 'POST' }),
  gone: () => control('/gone'),
  seen: async () => JSON.parse(await control('/seen')),
  last: async () => (await fake.seen()).at(-1),
}

// sameBytes demands that the provider saw what the SDK sent, but for the name
// of the model.
export const sameBytes = async () => {
  assert.equal((await fake.last()).body, sent.replace(`"${model}"`, `"${upstreamModel}"`))
}

// sameBytesBesideUsage is sameBytes for a stream whose client did not ask for
// usage: the gateway may have put that question in, and nothing else.
export const sameBytesBesideUsage = async () => {
  const { body } = await fake.last()
  const plain = body.replace(/,?"stream_options":\{"include_usage":true\},?/, '')
  assert.equal(plain, sent.replace(`"${model}"`, `"${upstreamModel}"`))
  assert.equal(body !== plain, gateway, 'the gateway, and it alone, asks for the usage')
}

// collect reads a stream to its end.
export const collect = async stream => {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}

export const text = chunks => chunks.map(chunk => chunk.choices[0]?.delta?.content ?? '').join('')
