// Many streams at once: VUS clients, each of which asks for a stream when its
// last one has ended. gateway.js says what k6 cannot see of a stream.
import { number, seconds, stages, stream, strict } from './gateway.js';

const vus = number('VUS', 50);

export const options = {
  scenarios: {
    streaming: {
      executor: 'ramping-vus',
      startVUs: 1,
      stages: stages(seconds('DURATION', '5m'), [0.2, vus], [0.8, vus]),
      gracefulRampDown: '30s',
    },
  },
  thresholds: { ...strict, stream_first_byte: [`p(95)<${number('FIRST_BYTE_MS', 1000)}`] },
};

export default function () {
  stream();
}
