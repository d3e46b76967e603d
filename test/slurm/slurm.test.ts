import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Overview } from '../../src/shards/overview.js';
import { Cluster, until, whyNoSlurm } from './cluster.js';
import { RIGHT_KEY, startLedger, type Ledger } from './ledger.js';

const run = promisify(execFile);
const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const NODES = 3;
const SHARDS = 4 * NODES;
/** Requests that a worker has in flight. */
const IN_FLIGHT = 2;

const obstacle = whyNoSlurm();
if (obstacle !== null) process.stderr.write(`Skipped the tests against Slurm: ${obstacle}.\n`);

describe.skipIf(obstacle !== null)('a planned run under Slurm', () => {
  let cluster: Cluster;
  let ledger: Ledger;

  beforeAll(async () => {
    cluster = new Cluster(NODES, 2);
    ledger = await startLedger();
  });
  afterAll(() => {
    ledger.close();
    cluster.close();
  });
  beforeEach(() => {
    ledger.asked.clear();
    ledger.latency = 20;
    ledger.refused = 0;
  });

  const env = (key = RIGHT_KEY): NodeJS.ProcessEnv => ({
    ...cluster.env,
    OPENAI_API_KEY: key,
    OPENAI_BASE_URL: `${ledger.url}/v1`,
  });

  async function reannotate(
    args: readonly string[],
    key?: string,
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    try {
      return { code: 0, ...(await run(process.execPath, [CLI, ...args], { env: env(key) })) };
    } catch (error) {
      return error as { code: number; stdout: string; stderr: string };
    }
  }

  function dataset(name: string, rows: number): string {
    const path = join(cluster.folder, 'runs', `${name}.jsonl`);
    const row = (number: number): string => JSON.stringify({ prompt: `${name} ${number}`, response: 'old' });
    writeFileSync(path, `${Array.from({ length: rows }, (_, number) => row(number)).join('\n')}\n`);
    return path;
  }

  function folders(name: string): string[] {
    const parent = join(cluster.folder, 'runs', name);
    return ['--save_dir', join(parent, 'saved'), '--temp_dir', join(parent, 'temp'), '--run_name', 'run'];
  }

  function saved(name: string): string {
    return join(cluster.folder, 'runs', name, 'saved', 'run');
  }

  async function plan(name: string, rows: number): Promise<string> {
    const flags = ['--dataset', dataset(name, rows), '--annotator', 'gpt-4o-mini', ...folders(name)];
    const own = ['--shards', String(SHARDS), '--max_concurrency', String(IN_FLIGHT)];
    const { stdout, code, stderr } = await reannotate(['plan', ...flags, ...own]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    return stdout.trim();
  }

  async function overview(runDir: string): Promise<Overview> {
    return JSON.parse((await reannotate(['status', runDir, '--json'])).stdout) as Overview;
  }

  /** Submits, and gives the number of the array's job. */
  async function submit(runDir: string, more: readonly string[] = [], key?: string): Promise<string> {
    const { stderr, code } = await reannotate(['slurm', runDir, '--submit', ...more], key);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    return /as job (\d+)/.exec(stderr)?.[1] ?? '';
  }

  /** The array's script alone. */
  async function script(runDir: string): Promise<string> {
    await reannotate(['slurm', runDir]);
    return join(runDir, 'slurm', 'array.sh');
  }

  function logs(runDir: string): string {
    const folder = join(runDir, 'slurm');
    return readdirSync(folder)
      .filter((name) => name.endsWith('.log'))
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('');
  }

  function paidTwice(): number {
    return [...ledger.asked.values()].reduce((sum, times) => sum + times - 1, 0);
  }

  it('gives what one machine gives, from four shards a node that all start at once; merging too early is refused', async () => {
    const runDir = await plan('whole', 120);
    await submit(runDir);
    const early = await reannotate(['merge', runDir]);
    expect(early).toMatchObject({
      code: 75,
      stderr: expect.stringContaining('Nothing was merged') as string,
    });
    await cluster.idle(60_000);
    expect(await overview(runDir)).toMatchObject({ shards: { done: SHARDS }, rows: { ok: 120 } });
    expect(ledger.asked.size).toBe(120);
    expect(paidTwice()).toBe(0);
    const flags = ['--dataset', join(cluster.folder, 'runs', 'whole.jsonl'), '--annotator', 'gpt-4o-mini'];
    expect(await reannotate([...flags, ...folders('alone')])).toMatchObject({ code: 0 });
    const [merged, alone] = ['whole', 'alone'].map((name) =>
      readFileSync(join(saved(name), 'reannotated.json'), 'utf8'),
    );
    expect(merged).toBe(alone);
  });

  it('runs the shards that --array names, with gaps and with a step', async () => {
    const runDir = await plan('gaps', 48);
    const array = await script(runDir);
    cluster.run('sbatch', ['--array=3,7', array], env());
    await cluster.idle(60_000);
    const done = async (): Promise<number[]> =>
      (await overview(runDir)).list.filter(({ standing }) => standing === 'done').map(({ shard }) => shard);
    expect(await done()).toEqual([3, 7]);
    cluster.run('sbatch', ['--array=0-11:4', array], env());
    await cluster.idle(60_000);
    expect(await done()).toHaveLength(SHARDS);
    expect(ledger.asked.size).toBe(48);
    expect(paidTwice()).toBe(0);
  });

  it('stops all tasks for a wrong key, and requeues none', async () => {
    const runDir = await plan('key', 48);
    const job = await submit(runDir, [], 'sk-wrong-key-0001');
    await cluster.idle(60_000);
    expect(ledger.asked.size).toBe(0);
    expect(ledger.refused).toBeLessThanOrEqual(2 * NODES);
    for (const task of cluster.tasks(job))
      expect(task).toMatchObject({ JobState: 'FAILED', Restarts: '0', ExitCode: '1:0' });
    expect((await overview(runDir)).stopped).toContain('refused the key');
    // Submitting again is what a person does who has set the right key.
    await submit(runDir);
    await cluster.idle(60_000);
    expect(await overview(runDir)).toMatchObject({ shards: { done: SHARDS } });
  });

  it('asks nothing of a dataset that changed after it was planned', async () => {
    const runDir = await plan('changed', 48);
    const path = join(cluster.folder, 'runs', 'changed.jsonl');
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll('changed ', 'CHANGED '));
    const job = await submit(runDir);
    await cluster.idle(60_000);
    expect(ledger.asked.size).toBe(0);
    for (const task of cluster.tasks(job)) expect(task).toMatchObject({ JobState: 'FAILED', Restarts: '0' });
    expect(logs(runDir).match(/has changed since it was planned/g)).toHaveLength(SHARDS);
  });

  it('loses nothing to kills, requeues, preemption, a power loss and a frozen node that comes back', async () => {
    ledger.latency = 1000;
    const rows = SHARDS * 20;
    const runDir = await plan('storm', rows);
    const job = await submit(runDir);
    await until(
      () => cluster.workers(runDir).size === 2 * NODES && ledger.asked.size > 20,
      60_000,
      () => logs(runDir),
    );
    // Tasks 0 and 1 run on one node, 2 and 3 on the next: Slurm fills one after the other.
    const nodeOf = (task: number): string =>
      cluster.tasks(`${job}_${task}`).find(({ JobState }) => JobState === 'RUNNING')?.['NodeList'] ?? '';
    const running = [...cluster.workers(runDir)];
    const [calm = '', lost = '', frozen = ''] = [...new Set(running.map(([task]) => nodeOf(task)))];
    const here = running.filter(([task]) => nodeOf(task) === calm);
    process.kill(here[0]?.[1] ?? 0, 'SIGKILL');
    cluster.run('scontrol', ['requeue', `${job}_${here[1]?.[0] ?? 0}`]);
    cluster.killNode(lost);
    cluster.signalNode(frozen, 'SIGSTOP');
    await sleep(3000);
    cluster.run('sbatch', ['-p', 'urgent', '-w', calm, '-n', '2', '-o', '/dev/null', '--wrap', 'sleep 3']);
    await sleep(12_000);
    const next = [...cluster.workers(runDir)].find(([task]) => nodeOf(task) === calm);
    if (next !== undefined) cluster.run('scancel', [`${job}_${next[0]}`]);
    cluster.startNode(lost);
    // The shards of the frozen node are taken over a minute after its last sign of life; then it comes back.
    await until(
      () => /was taken|Resuming: \d+ of/.test(logs(runDir)),
      150_000,
      () => logs(runDir),
    );
    await sleep(5000);
    cluster.signalNode(frozen, 'SIGCONT');
    await cluster.idle(200_000);
    // What was killed or cancelled is not requeued by Slurm: submitting again runs what is left.
    await submit(runDir);
    // A shard whose owner ended on another node is taken over a minute after its last sign of life.
    await cluster.idle(150_000);
    expect(await overview(runDir)).toMatchObject({ shards: { done: SHARDS }, rows: { ok: rows } });
    expect(ledger.asked.size).toBe(rows);
    // One killed, two on the lost node, two on the frozen one; everything else drained.
    expect(paidTwice()).toBeLessThanOrEqual(5 * IN_FLIGHT);
    const results = JSON.parse(readFileSync(join(saved('storm'), 'reannotated.json'), 'utf8')) as object[];
    expect(results).toHaveLength(rows);
  });

  it('drains ahead of a time limit, and continues in another attempt', async () => {
    ledger.latency = 2400;
    const runDir = await plan('limit', 2 * SHARDS * 15);
    const array = await script(runDir);
    cluster.run('sbatch', ['--array=0', '--time=1', '--signal=B:USR2@35', array], env());
    const isDone = (): boolean => /Shard 0 is done/.test(logs(runDir));
    await until(isDone, 150_000, () => `${cluster.run('squeue', [])}${logs(runDir)}`);
    await cluster.idle(30_000);
    expect((await overview(runDir)).list[0]).toMatchObject({ standing: 'done' });
    expect(logs(runDir)).toContain('Asked Slurm to requeue task');
    expect(ledger.asked.size).toBe(30);
    expect(paidTwice()).toBe(0);
  });
});
