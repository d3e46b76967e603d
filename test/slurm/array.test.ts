import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { until } from './cluster.js';
import { AT_ONCE, describeUnderSlurm, IN_FLIGHT, NODES, SHARDS } from './slurm-runs.js';

describeUnderSlurm('an array of shards under Slurm', (slurm) => {
  it('gives what one machine gives, with four shards per node that start together; an early merge is refused', async () => {
    const runs = slurm();
    const runDir = await runs.plan('whole', 120);
    await runs.submit(runDir);
    const early = await runs.reannotate(['merge', runDir]);
    expect(early).toMatchObject({
      code: 75,
      stderr: expect.stringContaining('Nothing was merged') as string,
    });
    await runs.cluster.idle(60_000);
    expect(await runs.overview(runDir)).toMatchObject({ shards: { done: SHARDS }, rows: { ok: 120 } });
    expect(runs.ledger.asked.size).toBe(120);
    expect(runs.paidTwice).toBe(0);
    const flags = ['--dataset', runs.dataset('whole'), '--annotator', 'gpt-4o-mini'];
    expect(await runs.reannotate([...flags, ...runs.folders('alone')])).toMatchObject({ code: 0 });
    const [merged, alone] = ['whole', 'alone'].map((name) =>
      readFileSync(join(runs.saved(name), 'reannotated.json'), 'utf8'),
    );
    expect(merged).toBe(alone);
  });

  it('runs the shards that --array names, with gaps and with a step', async () => {
    const runs = slurm();
    const runDir = await runs.plan('gaps', 48);
    const array = await runs.script(runDir);
    runs.cluster.run('sbatch', ['--array=3,7', array], runs.env());
    await runs.cluster.idle(60_000);
    const done = async (): Promise<number[]> =>
      (await runs.overview(runDir)).list
        .filter(({ standing }) => standing === 'done')
        .map(({ shard }) => shard);
    expect(await done()).toEqual([3, 7]);
    runs.cluster.run('sbatch', ['--array=0-11:4', array], runs.env());
    await runs.cluster.idle(60_000);
    expect(await done()).toHaveLength(SHARDS);
    expect(runs.ledger.asked.size).toBe(48);
    expect(runs.paidTwice).toBe(0);
  });

  it('stops all tasks for a wrong key, and requeues none', async () => {
    const runs = slurm();
    const runDir = await runs.plan('key', 48);
    const job = await runs.submit(runDir, [], 'sk-wrong-key-0001');
    await runs.cluster.idle(60_000);
    expect(runs.ledger.asked.size).toBe(0);
    expect(runs.ledger.refused).toBeLessThanOrEqual(2 * NODES);
    for (const task of runs.cluster.tasks(job))
      expect(task).toMatchObject({ JobState: 'FAILED', Restarts: '0', ExitCode: '1:0' });
    expect((await runs.overview(runDir)).stopped).toContain('refused the key');
    // Submitting again is what a person does who has set the right key.
    await runs.submit(runDir);
    await runs.cluster.idle(60_000);
    expect(await runs.overview(runDir)).toMatchObject({ shards: { done: SHARDS } });
  });

  it('sends no request for a dataset that changed after it was planned', async () => {
    const runs = slurm();
    const runDir = await runs.plan('changed', 48);
    const path = runs.dataset('changed');
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll('changed ', 'CHANGED '));
    const job = await runs.submit(runDir);
    await runs.cluster.idle(60_000);
    expect(runs.ledger.asked.size).toBe(0);
    for (const task of runs.cluster.tasks(job))
      expect(task).toMatchObject({ JobState: 'FAILED', Restarts: '0' });
    expect(runs.logs(runDir).match(/has changed since it was planned/g)).toHaveLength(SHARDS);
  });

  it('loses nothing to kill -9, requeue and scancel', async () => {
    const runs = slurm();
    runs.ledger.latency = 500;
    const rows = SHARDS * 8;
    const runDir = await runs.plan('ends', rows);
    const job = await runs.submit(runDir);
    const { cluster, ledger } = runs;
    const areRunning = (): boolean => cluster.workers(runDir).size === AT_ONCE && ledger.asked.size > AT_ONCE;
    await until(areRunning, 60_000, () => runs.logs(runDir));
    const [killed, requeued, cancelled] = [...cluster.workers(runDir)];
    const node = runs.nodeOf(job, killed?.[0] ?? 0);
    process.kill(killed?.[1] ?? 0, 'SIGKILL');
    cluster.run('scontrol', ['requeue', `${job}_${requeued?.[0] ?? 0}`]);
    cluster.run('scancel', [`${job}_${cancelled?.[0] ?? 0}`]);
    await cluster.idle(120_000);
    // What was killed or cancelled is not requeued by Slurm: submitting again runs what is left. On its own node the owner of
    // the killed worker's shard is known to be dead; elsewhere that takes a minute.
    await runs.submit(runDir, [`--sbatch=--nodelist=${node}`]);
    await cluster.idle(120_000);
    expect(await runs.overview(runDir)).toMatchObject({ shards: { done: SHARDS }, rows: { ok: rows } });
    expect(ledger.asked.size).toBe(rows);
    expect(runs.paidTwice).toBeLessThanOrEqual(IN_FLIGHT);
  });
});
