// How much longer a run takes than it could, by the shards that each of its uneven workers has on average.
import { median } from './support.js';

const WORKERS = 128;
const ROUNDS = 40;
const SHARDS_A_WORKER = [1, 2, 4, 8, 16, 32, 64];

/** mulberry32: the same figures every time. */
function randomBy(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Rates as a shared cluster has them: most alike, some half as fast, a few slower still (log-normal, sigma 0.4). */
function rates(random) {
  return Array.from({ length: WORKERS }, () => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return Math.exp(0.4 * normal);
  });
}

/** The time until all shards are done, where each worker takes the next one when it is free, over the ideal time. */
function stretch(speeds, shards) {
  const freeAt = speeds.map(() => 0);
  const size = 1 / shards;
  for (let shard = 0; shard < shards; shard++) {
    const soonest = Math.min(...freeAt);
    const first = freeAt.indexOf(soonest);
    freeAt[first] = soonest + size / (speeds[first] ?? 1);
  }
  const ideal = 1 / speeds.reduce((sum, speed) => sum + speed, 0);
  return Math.max(...freeAt) / ideal;
}

/** The figures of docs/clusters.md: nothing is measured, the fleets are made up. */
export function shards() {
  const random = randomBy(17);
  const fleets = Array.from({ length: ROUNDS }, () => rates(random));
  return SHARDS_A_WORKER.map((each) => {
    const stretches = fleets.map((speeds) => stretch(speeds, each * WORKERS));
    const typical = median(stretches).toFixed(2);
    return {
      figure: `${each} shards a worker, ${WORKERS} uneven workers: time`,
      value: typical,
      baseline: '1.00 (ideal)',
      ratio: `${typical} (worst ${Math.max(...stretches).toFixed(2)})`,
    };
  });
}
