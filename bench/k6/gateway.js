// What the scripts share: where the gateway is, how it is asked, and what an
// answer has to be. README.md lists the settings; each is given to k6 by
// -e NAME=value, or stands in the environment.
import http from 'k6/http';
import { check } from 'k6';
import { Counter, Rate, Trend } from 'k6/metrics';

const base = (__ENV.BASE_URL || 'http://127.0.0.1:18000/v1').replace(/\/+$/, '');
const model = __ENV.MODEL || 'gpt-4o';

if (!__ENV.API_KEY) {
  throw new Error('API_KEY is not set: a client key of the gateway, by -e API_KEY=... or in the environment');
}

export const refused = new Rate('refused'); // 429 and 503, where a script takes them for granted
export const answerTime = new Trend('answer_time', true); // of requests that were let in
const firstByte = new Trend('stream_first_byte', true);
const events = new Counter('stream_events');

// number reads a setting.
export function number(name, otherwise) {
  const n = Number(__ENV[name] || otherwise);
  if (!(n > 0)) throw new Error(`${name}=${__ENV[name]}: a number over 0 is needed`);
  return n;
}

// seconds reads a setting such as 90s, 5m or 2h.
export function seconds(name, otherwise) {
  const [, n, unit] = /^(\d+(?:\.\d+)?)(s|m|h)$/.exec(__ENV[name] || otherwise) || [];
  if (!(n > 0)) throw new Error(`${name}=${__ENV[name]}: such as 90s, 5m or 2h`);
  return n * { s: 1, m: 60, h: 3600 }[unit];
}

// duration is how k6 wants to be told a time.
export const duration = (s) => `${Math.max(1, Math.round(s * 1000))}ms`;

// stages makes k6's stages of [share of the time, level at its end].
export const stages = (total, ...steps) => steps.map(([share, target]) => ({ duration: duration(total * share), target }));

// strict are the thresholds of a gateway that has enough of everything: no
// answer is wrong, none is refused, and no request had to wait for a free VU.
export const strict = {
  checks: ['rate==1'],
  http_req_failed: ['rate==0'],
  dropped_iterations: ['count==0'],
};

// p95 is a threshold on the time of answers, in milliseconds by P95_MS.
export const p95 = [`p(95)<${number('P95_MS', 2000)}`];

// post asks for a chat completion. With mayRefuse a 429 or 503 is no failure.
function post(fields, { key = __ENV.API_KEY, mayRefuse = false } = {}) {
  const body = { model, messages: [{ role: 'user', content: __ENV.PROMPT || 'Say hello in one sentence.' }], ...fields };
  if (__ENV.MAX_TOKENS) body.max_tokens = number('MAX_TOKENS');
  return http.post(`${base}/chat/completions`, JSON.stringify(body), {
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` },
    timeout: __ENV.TIMEOUT || '60s',
    responseCallback: mayRefuse ? http.expectedStatuses(200, 429, 503) : http.expectedStatuses(200),
  });
}

// whole asks for an answer in one piece, and checks it.
export function whole(options) {
  const res = post({}, options);
  if (wasRefused(res, options)) return;
  const said = parse(res.body) || {};
  check(res, {
    ...head,
    'the answer has an id': () => typeof said.id === 'string' && said.id !== '',
    'the answer is finished': () => Boolean(said.choices && said.choices[0] && said.choices[0].finish_reason),
    'the answer counts its tokens': () => counted(said.usage),
  });
}

// stream asks for an answer in events, and checks them.
//
// k6/http hands out a body when it is complete, so this sees that a stream is
// right and when its first byte came, but not: the time between two events,
// a stream that stalls and catches up, or what an early leave does to the
// gateway. llm-proxy bench measures those; it reads events as they come.
// (The first byte is the head's. llm-proxy sends it along with the first event;
// a server that sends it before has a better figure for no better stream.)
export function stream(options) {
  const res = post({ stream: true, stream_options: { include_usage: true } }, options);
  if (wasRefused(res, options)) return;
  const data = (res.body || '').split('\n').filter((line) => line.startsWith('data: ')).map((line) => line.slice(6).trim());
  const ended = data[data.length - 1] === '[DONE]';
  const chunks = data.slice(0, ended ? -1 : undefined).map(parse);
  check(res, {
    ...head,
    'the stream is an event stream': () => (res.headers['Content-Type'] || '').startsWith('text/event-stream'),
    'every event of the stream is JSON, and none an error': () => chunks.length > 0 && chunks.every((c) => c && !c.error),
    'every event of the stream has an id': () => chunks.length > 0 && chunks.every((c) => c && c.id),
    'the stream is finished': () => chunks.some((c) => c && c.choices && c.choices[0] && c.choices[0].finish_reason),
    'the stream counts its tokens': () => chunks.some((c) => c && counted(c.usage)),
    'the stream ends with [DONE]': () => ended,
  });
  firstByte.add(res.timings.waiting);
  events.add(chunks.length);
}

// intruder demands that a wrong key is refused, in OpenAI's words.
export function intruder() {
  const res = http.get(`${base}/models`, {
    headers: { Authorization: 'Bearer sk-nobody' }, responseCallback: http.expectedStatuses(401),
  });
  const { error = {} } = parse(res.body) || {};
  check(res, { 'a wrong key is refused': () => res.status === 401 && error.code === 'invalid_api_key' });
}

// head is what every answer has.
const head = {
  'status is 200': (res) => res.status === 200,
  'the answer has an x-request-id': (res) => Boolean(res.headers['X-Request-Id']),
};

// wasRefused reports whether the gateway had no room, and said so as it should.
function wasRefused(res, { mayRefuse = false } = {}) {
  if (!mayRefuse) return false;
  const no = res.status === 429 || res.status === 503;
  refused.add(no);
  if (no) check(res, { 'a refusal says when to come back': () => Number(res.headers['Retry-After']) > 0 });
  else answerTime.add(res.timings.duration);
  return no;
}

const counted = (u) => Boolean(u && u.prompt_tokens > 0 && u.total_tokens === u.prompt_tokens + u.completion_tokens);

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
