// The load of a usual day, for hours: three whole answers to one stream. With
// METRICS_URL the gateway's memory is watched, too, and may not be over
// MEMORY_MB.
import http from 'k6/http';
import exec from 'k6/execution';
import { check, sleep } from 'k6';
import { Trend } from 'k6/metrics';
import { duration, number, p95, seconds, stream, strict, whole } from './gateway.js';

const vus = number('VUS', 200);
const total = seconds('DURATION', '2h');
const memory = new Trend('gateway_memory_mb');

export const options = {
  scenarios: {
    soak: {
      executor: 'constant-arrival-rate',
      duration: duration(total),
      rate: number('RATE', 20),
      timeUnit: '1s',
      preAllocatedVUs: Math.min(vus, 50),
      maxVUs: vus,
    },
    ...(__ENV.METRICS_URL && {
      watch: { executor: 'constant-vus', exec: 'watch', vus: 1, duration: duration(total), gracefulStop: '0s' },
    }),
  },
  thresholds: {
    ...strict,
    'http_req_duration{scenario:soak}': p95,
    ...(__ENV.METRICS_URL && { gateway_memory_mb: [`max<${number('MEMORY_MB', 512)}`] }),
  },
};

export default function () {
  if (exec.scenario.iterationInTest % 4 === 3) stream();
  else whole();
}

export function watch() {
  const page = http.get(__ENV.METRICS_URL, { headers: __ENV.METRICS_KEY ? { Authorization: `Bearer ${__ENV.METRICS_KEY}` } : {} });
  const [, bytes] = /^process_resident_memory_bytes (\S+)/m.exec(page.body || '') || [];
  check(page, { 'the metrics tell the memory': () => Number(bytes) > 0 });
  if (bytes) memory.add(Number(bytes) / 2 ** 20);
  sleep(Math.min(10, total / 4));
}
