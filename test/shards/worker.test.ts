import { rmSync } from 'node:fs';
import { expect, it } from 'vitest';
import { makeFolder } from '../../src/lib/files.js';
import { runShard } from '../../src/session/shard-run.js';
import { SessionPool } from '../../src/session/session-pool.js';
import { shardFolder } from '../../src/shards/folders.js';
import { temporaryFolder } from '../support/cli.js';
import { plannedRun, quietSurroundings } from '../support/planned-run.js';
import { completion, scriptedApi } from '../support/scripted-api.js';

const SIZES = [6, 6, 6];

it('a worker learns parameters once, and starts later shards with all requests at once', async () => {
  let waiting: (() => void)[] = [];
  let most = 0;
  const bodies: object[] = [];
  const api = await scriptedApi(async ({ body, prompt }) => {
    bodies.push(body);
    if (Object.hasOwn(body, 'seed'))
      return {
        status: 400,
        body: {
          error: { message: "Unsupported parameter: 'seed'", param: 'seed', code: 'unsupported_parameter' },
        },
      };
    // Rows from the second shard on are answered once all requests that may be in flight are.
    if (Number(/\d+/.exec(prompt)?.[0]) >= 6) {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        most = Math.max(most, waiting.length);
        if (waiting.length < 3) return;
        for (const answer of waiting) answer();
        waiting = [];
      });
    }
    return { body: completion('fine') };
  });
  const flags = { base_url: `${api.url}/v1`, max_concurrency: '3', seed: '7' };
  const planned = await plannedRun(temporaryFolder(), SIZES, flags);
  const nothing = (): void => undefined;
  const pool = new SessionPool();
  const work = {
    ...planned,
    ...{
      pool,
      price: null,
      context: quietSurroundings(),
      share: () => 1,
      onSending: nothing,
      onNote: nothing,
    },
  };
  for (const shard of SIZES.keys()) {
    const folder = shardFolder(planned.runDir, shard);
    rmSync(folder.temp, { recursive: true });
    makeFolder(folder.temp);
    expect(await runShard(work, shard, shardFolder(planned.runDir, shard))).toMatchObject({ stop: null });
  }
  await pool.close();
  expect(most).toBe(3);
  expect(bodies.filter((body) => Object.hasOwn(body, 'seed'))).toHaveLength(1);
  expect(bodies).toHaveLength(19);
});
