import { expect, it } from 'vitest';
import { until } from './cluster.js';
import { describeUnderSlurm, SHARDS } from './slurm-runs.js';

describeUnderSlurm('a time limit of Slurm', (slurm) => {
  it('drains ahead of a time limit, and continues in another attempt', async () => {
    const runs = slurm();
    runs.ledger.latency = 2400;
    const runDir = await runs.plan('limit', 2 * SHARDS * 15);
    const array = await runs.script(runDir);
    runs.cluster.run('sbatch', ['--array=0', '--time=1', '--signal=B:USR2@35', array], runs.env());
    const isDone = (): boolean => /Shard 0 is done/.test(runs.logs(runDir));
    await until(isDone, 150_000, () => `${runs.cluster.run('squeue', [])}${runs.logs(runDir)}`);
    await runs.cluster.idle(30_000);
    expect((await runs.overview(runDir)).list[0]).toMatchObject({ standing: 'done' });
    expect(runs.logs(runDir)).toContain('Asked Slurm to requeue task');
    expect(runs.ledger.asked.size).toBe(30);
    expect(runs.paidTwice).toBe(0);
  });
});
