// The load of a usual day: RATE requests a second, by the clock, whether or
// not earlier ones have been answered, for DURATION.
import { number, p95, seconds, stages, strict, whole } from './gateway.js';

const rate = number('RATE', 20);
const vus = number('VUS', 200);

export const options = {
  scenarios: {
    load: {
      executor: 'ramping-arrival-rate',
      startRate: 1,
      timeUnit: '1s',
      preAllocatedVUs: Math.min(vus, 50),
      maxVUs: vus,
      stages: stages(seconds('DURATION', '5m'), [0.2, rate], [0.7, rate], [0.1, 1]),
    },
  },
  thresholds: { ...strict, http_req_duration: p95 },
};

export default function () {
  whole();
}
