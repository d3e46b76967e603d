import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { until } from './cluster.js';
import { AT_ONCE, describeUnderSlurm, IN_FLIGHT, SHARDS } from './slurm-runs.js';

describeUnderSlurm('nodes that fail under Slurm', (slurm) => {
  it('loses nothing to kills, requeues, preemption, a power loss and a frozen node that comes back', async () => {
    const runs = slurm();
    runs.ledger.latency = 1000;
    const rows = SHARDS * 20;
    const runDir = await runs.plan('storm', rows);
    const job = await runs.submit(runDir);
    await until(
      () => runs.cluster.workers(runDir).size === AT_ONCE && runs.ledger.asked.size > 20,
      60_000,
      () => runs.logs(runDir),
    );
    // Tasks 0 and 1 run on one node, 2 and 3 on the next: Slurm fills one after the other.
    const nodeOf = (task: number): string => runs.nodeOf(job, task);
    const running = [...runs.cluster.workers(runDir)];
    const [calm = '', lost = '', frozen = ''] = [...new Set(running.map(([task]) => nodeOf(task)))];
    const here = running.filter(([task]) => nodeOf(task) === calm);
    process.kill(here[0]?.[1] ?? 0, 'SIGKILL');
    runs.cluster.run('scontrol', ['requeue', `${job}_${here[1]?.[0] ?? 0}`]);
    runs.cluster.killNode(lost);
    runs.cluster.signalNode(frozen, 'SIGSTOP');
    await sleep(3000);
    runs.cluster.run('sbatch', [
      '-p',
      'urgent',
      '-w',
      calm,
      '-n',
      '2',
      '-o',
      '/dev/null',
      '--wrap',
      'sleep 3',
    ]);
    await sleep(12_000);
    const next = [...runs.cluster.workers(runDir)].find(([task]) => nodeOf(task) === calm);
    if (next !== undefined) runs.cluster.run('scancel', [`${job}_${next[0]}`]);
    runs.cluster.startNode(lost);
    // The shards of the frozen node are taken over a minute after its last sign of life; then it comes back.
    await until(
      () => /was taken|Resuming: \d+ of/.test(runs.logs(runDir)),
      150_000,
      () => runs.logs(runDir),
    );
    await sleep(5000);
    runs.cluster.signalNode(frozen, 'SIGCONT');
    await runs.cluster.idle(200_000);
    // What was killed or cancelled is not requeued by Slurm: submitting again runs what is left.
    await runs.submit(runDir);
    // A shard whose owner ended on another node is taken over a minute after its last sign of life.
    await runs.cluster.idle(150_000);
    expect(await runs.overview(runDir)).toMatchObject({ shards: { done: SHARDS }, rows: { ok: rows } });
    expect(runs.ledger.asked.size).toBe(rows);
    // One killed, two on the lost node, two on the frozen one; everything else drained.
    expect(runs.paidTwice).toBeLessThanOrEqual(5 * IN_FLIGHT);
    const results = JSON.parse(
      readFileSync(join(runs.saved('storm'), 'reannotated.json'), 'utf8'),
    ) as object[];
    expect(results).toHaveLength(rows);
  });
});
