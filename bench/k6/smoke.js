// Does the gateway answer as it should? A few requests, one after another:
// what to run after an upgrade. Any wrong answer fails it.
import { intruder, p95, stream, strict, whole } from './gateway.js';

export const options = {
  vus: 1,
  iterations: 3,
  thresholds: { ...strict, http_req_duration: p95 },
};

export default function () {
  whole();
  stream();
  intruder();
}
