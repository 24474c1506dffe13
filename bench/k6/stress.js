// More than it can do: the rate grows to RATE times FACTOR. A gateway may
// refuse (429, 503 with retry-after) what it has no room for. It may not fail,
// and those that it lets in get their answers in time.
import { answerTime, number, p95, seconds, stages, whole } from './gateway.js';

const rate = number('RATE', 50);
const factor = number('FACTOR', 10);
const vus = number('VUS', 1000);

export const options = {
  scenarios: {
    stress: {
      executor: 'ramping-arrival-rate',
      startRate: rate,
      timeUnit: '1s',
      preAllocatedVUs: Math.min(vus, 100),
      maxVUs: vus,
      stages: stages(seconds('DURATION', '6m'), [0.2, rate], [0.5, rate * factor], [0.2, rate * factor], [0.1, rate]),
    },
  },
  // An iteration that was dropped is one that k6 had no VU for: the load was
  // less than it should have been, which the summary shows.
  thresholds: { checks: ['rate==1'], http_req_failed: ['rate==0'], [answerTime.name]: p95 },
};

export default function () {
  whole({ mayRefuse: true });
}
