import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import OpenAI from 'openai'
import { ask, client, fake, gateway, key } from './harness.mjs'

beforeEach(fake.reset)

// refused makes a chat request that must fail and returns its error.
const refused = async (one, params = ask()) => {
  const error = await one.chat.completions.create(params).then(() => assert.fail('it was answered'), error => error)
  assert.ok(error instanceof OpenAI.APIError, `${error}`)
  return error
}

const typed = {
  400: OpenAI.BadRequestError, 404: OpenAI.NotFoundError, 409: OpenAI.ConflictError, 413: OpenAI.APIError,
  422: OpenAI.UnprocessableEntityError, 500: OpenAI.InternalServerError, 503: OpenAI.InternalServerError,
}

for (const [status, type] of Object.entries(typed)) {
  test(`the provider's ${status} is the client's`, async () => {
    await fake.handle(`status=${status}`)
    const error = await refused(client())
    assert.ok(error instanceof type, error.constructor.name)
    assert.equal(error.status, Number(status))
    assert.equal(error.code, `scripted_${status}`)
    assert.match(error.message, /The script says so/)
  })
}

test('the provider\'s rate limit, with its times', async () => {
  await fake.handle('status=429 retry-after=4 retry-after-ms=4000')
  const error = await refused(client())
  assert.ok(error instanceof OpenAI.RateLimitError)
  assert.equal(error.headers.get('retry-after'), '4')
  assert.equal(error.headers.get('retry-after-ms'), '4000')
})

test('the SDK tries again when the provider had enough', { skip: gateway && 'the gateway does it itself' }, async () => {
  await fake.script('status=429 retry-after-ms=20')
  await client({ maxRetries: 2 }).chat.completions.create(ask())
  assert.equal((await fake.seen()).length, 2)
})

const own = (name, f) => test(name, { skip: !gateway && 'the gateway\'s own' }, f)

own('the SDK tries again when the gateway had enough', async () => {
  const slow = client({ apiKey: key('SLOW'), maxRetries: 2 })
  const begun = performance.now()
  for (let i = 0; i < 2; i++) await slow.chat.completions.create(ask())
  assert.equal((await fake.seen()).length, 2)
  assert.ok(performance.now() - begun < 20_000)
})

own('an unknown key', async () => {
  const error = await refused(client({ apiKey: 'sk-nobody' }))
  assert.ok(error instanceof OpenAI.AuthenticationError)
  assert.equal(error.code, 'invalid_api_key')
  assert.ok(error.requestID)
})

own('a model that the key may not use', async () => {
  const error = await refused(client({ apiKey: key('NARROW') }))
  assert.ok(error instanceof OpenAI.PermissionDeniedError)
  assert.equal(error.code, 'model_not_allowed')
})

own('a model that nobody serves', async () => {
  const error = await refused(client(), ask({ model: 'nobody' }))
  assert.ok(error instanceof OpenAI.NotFoundError)
  assert.equal(error.code, 'model_not_found')
})

own('a request without a model', async () => {
  const error = await refused(client(), ask({ model: undefined }))
  assert.ok(error instanceof OpenAI.BadRequestError)
  assert.equal(error.param, 'model')
})

own('a rate limit of none', async () => {
  const error = await refused(client({ apiKey: key('CLOSED') }))
  assert.ok(error instanceof OpenAI.RateLimitError)
  assert.equal(error.code, 'rate_limit_exceeded')
  assert.ok(Number(error.headers.get('retry-after')) > 0)
})

own('a request that is too large', async () => {
  const error = await refused(client(), ask({ user: 'x'.repeat(128 << 10) }))
  assert.equal(error.status, 413)
  assert.equal(error.code, 'request_too_large')
})

own('the gateway\'s key refused is not the client\'s fault', async () => {
  await fake.handle('status=401')
  const error = await refused(client())
  assert.equal(error.status, 502)
  assert.equal(error.code, 'upstream_auth_failed')
})

own('none of this reaches the provider', async () => {
  for (const one of [client({ apiKey: 'sk-nobody' }), client({ apiKey: key('NARROW') }), client({ apiKey: key('CLOSED') })]) await refused(one)
  assert.equal((await fake.seen()).length, 0)
})
