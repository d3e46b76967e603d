import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { merge } from '../../src/commands/merge.js';
import { EXIT } from '../../src/lib/errors.js';
import { makeFolder } from '../../src/lib/files.js';
import type { ServerCounts } from '../../src/run/totals.js';
import type { OpenPlan } from '../../src/session/open-plan.js';
import { SessionPool } from '../../src/session/session-pool.js';
import { runShard } from '../../src/session/shard-run.js';
import { shardFolder } from '../../src/shards/folders.js';
import { temporaryFolder } from '../support/cli.js';
import { plannedRun, quietSurroundings } from '../support/planned-run.js';
import { apiError, completion, scriptedApi } from '../support/scripted-api.js';

const nothing = (): void => undefined;

/** Has one worker do shards that are not started. */
async function workOn(planned: OpenPlan, shards: Iterable<number>): Promise<void> {
  const pool = new SessionPool();
  const own = { pool, price: null, context: quietSurroundings(), share: () => 1 };
  const watching = { checkInterval: 20, giveUp: [] };
  const work = { ...planned, ...own, watching, onSending: nothing, onNote: nothing };
  for (const shard of shards) {
    const { temp } = shardFolder(planned.runDir, shard);
    rmSync(temp, { recursive: true });
    makeFolder(temp);
    expect(await runShard(work, shard, shardFolder(planned.runDir, shard))).toMatchObject({ stop: null });
  }
  await pool.close();
}

it('a worker learns parameters once, and starts later shards at full concurrency', async () => {
  const sizes = [6, 6, 6];
  let waiting: (() => void)[] = [];
  let most = 0;
  const api = await scriptedApi(async ({ body, prompt }) => {
    if (Object.hasOwn(body, 'seed'))
      return apiError(400, "Unsupported parameter: 'seed'", 'unsupported_parameter');
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
  const planned = await plannedRun(temporaryFolder(), sizes, flags);
  await workOn(planned, sizes.keys());
  expect(most).toBe(3);
  expect(api.requests.filter(({ body }) => Object.hasOwn(body, 'seed'))).toHaveLength(1);
  expect(api.requests).toHaveLength(19);
});

it('a worker opens its servers once, and each shard counts what they did for it', async () => {
  const sizes = [4, 4, 4];
  const server = () =>
    scriptedApi(({ path }) =>
      path.endsWith('/models')
        ? { body: { object: 'list', data: [{ id: 'm' }] } }
        : { body: completion('fine') },
    );
  const fleet = [await server(), await server()];
  const flags = { base_url: fleet.map(({ url }) => `${url}/v1`).join(',') };
  const planned = await plannedRun(temporaryFolder(), sizes, flags);
  await workOn(planned, sizes.keys());
  for (const { requests } of fleet)
    expect(requests.filter(({ path }) => path.endsWith('/models'))).toHaveLength(1);
  for (const shard of sizes.keys()) {
    const { servers } = JSON.parse(readFileSync(shardFolder(planned.runDir, shard).counters, 'utf8')) as {
      servers: ServerCounts;
    };
    expect(Object.values(servers).map(({ requests }) => requests)).toEqual([2, 2]);
  }
});

it('a worker sends refused rows to another annotator and truncated ones again, and merge names who answered', async () => {
  const asked: string[] = [];
  const api = await scriptedApi(({ body, prompt }) => {
    const { model, max_tokens: most } = body as { model: string; max_tokens: number };
    asked.push(`${model}: ${prompt}, ${most}`);
    if (model === 'm' && prompt.endsWith('1')) return { body: completion(null, { refusal: 'No.' }) };
    const isCut = prompt.endsWith('2') && most === 5;
    return { body: completion(isCut ? 'half an' : `${model} answers`, isCut ? { finish: 'length' } : {}) };
  });
  const folder = temporaryFolder();
  const url = `${api.url}/v1`;
  const planned = await plannedRun(folder, [4], {
    ...{ base_url: url, max_tokens: '5', escalate_truncated: '2', include_metadata: 'true' },
    ...{ fallback_annotator: 'other', fallback_base_url: url },
  });
  await workOn(planned, [0]);
  const once = ['m: prompt 0, 5', 'm: prompt 1, 5', 'm: prompt 2, 10', 'm: prompt 2, 5', 'm: prompt 3, 5'];
  expect(asked.sort()).toEqual([...once, 'other: prompt 1, 5']);
  expect(await merge(planned, null, quietSurroundings())).toBe(EXIT.done);
  const saved = join(folder, 'saved', 'run');
  const rows = JSON.parse(readFileSync(join(saved, 'reannotated.json'), 'utf8')) as {
    annotation: string;
    metadata: { annotator: string };
  }[];
  expect(rows.map(({ annotation, metadata }) => [annotation, metadata.annotator])).toEqual([
    ['m answers', 'm'],
    ['other answers', 'other'],
    ['m answers', 'm'],
    ['m answers', 'm'],
  ]);
  expect(JSON.parse(readFileSync(join(saved, 'summary.json'), 'utf8'))).toMatchObject({
    requests: { sent: 6 },
    annotators: { other: { rows: 1 } },
  });
});
