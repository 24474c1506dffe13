// A sudden crowd: RATE requests a second, FACTOR times as many at once, RATE
// again. During the crowd the gateway may refuse; before and after it may not,
// and after it answers take no longer than they may.
import { duration, number, p95, refused, seconds, stages, whole } from './gateway.js';

const rate = number('RATE', 20);
const factor = number('FACTOR', 10);
const vus = number('VUS', 1000);
const total = seconds('DURATION', '3m');

// phase is a part of the whole, from one share of the time to another: a ramp
// that is level, because k6 wants no constant rate for less than a second.
const phase = (from, to, perSecond) => ({
  executor: 'ramping-arrival-rate',
  startTime: duration(total * from),
  startRate: perSecond,
  timeUnit: '1s',
  stages: stages(total, [to - from, perSecond]),
  preAllocatedVUs: Math.min(vus, 50),
  maxVUs: vus,
});

export const options = {
  scenarios: {
    before: phase(0, 0.3, rate),
    crowd: phase(0.3, 0.5, rate * factor),
    after: phase(0.55, 1, rate),
  },
  thresholds: {
    checks: ['rate==1'],
    http_req_failed: ['rate==0'],
    [`${refused.name}{scenario:before}`]: ['rate==0'],
    [`${refused.name}{scenario:after}`]: ['rate==0'],
    'http_req_duration{scenario:before}': p95,
    'http_req_duration{scenario:after}': p95,
  },
};

export default function () {
  whole({ mayRefuse: true });
}
