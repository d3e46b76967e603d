import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Simulator } from '../../src/simulator/server.js';
import { batchArguments, idsOf, impatient, paste, startWatch, submit, watch } from '../support/batch-cli.js';
import { pointingAt, resultsIn, runCli, simulator, temporaryFolder, type Finished } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { faultyProxy } from '../support/faulty-proxy.js';
import { killingProxy } from '../support/killing-proxy.js';

const ROWS = 6;
const env = impatient();
/** For sending online: at the other pace its marker would be out of date after a second and a half. */
const calmer = impatient(60);

function dataset(): { data: string; folder: string; root: string } {
  const root = temporaryFolder();
  return { root, folder: join(root, 'run'), data: writeJson(root, 'data.json', alpacaRows(ROWS)) };
}

function paid(api: Simulator): number {
  return Object.values(api.statistics().answersByPrompt).reduce((sum, times) => sum + times, 0);
}

function online(api: { url: string }, data: string, folder: string): Promise<Finished> {
  return runCli([...batchArguments(data, folder), '--resume'], { env: pointingAt(api) });
}

describe('a batch that never delivers all that it says it did', () => {
  it('keeps its rows from being paid for again, until the user gives it up', async () => {
    const { data, folder } = dataset();
    const api = await simulator({ batchPlans: [['lost_line']] });
    const [id = ''] = idsOf(await submit(api, data, folder));
    const watched = await watch(api, data, folder, ['--retry_failed'], { env });
    expect(watched.code, watched.stderr).toBe(3);
    expect(watched.stderr).toMatch(/it says that 6 requests completed, and 5 answers have arrived/);
    expect(watched.stderr).toContain(`--give_up ${id}`);
    expect(watched.stderr).not.toContain('Submit them as a new batch');
    const sent = await online(api, data, folder);
    expect(sent.code, sent.stderr).toBe(3);
    expect(sent.stderr).toMatch(/1 rows? (?:is|are) not sent/);
    expect(paid(api)).toBe(ROWS);
    const again = await watch(api, data, folder, ['--finish_online', '--give_up', id], { env: calmer });
    expect(again.code, again.stderr).toBe(0);
    expect(api.statistics().batchesCreated).toBe(1);
    expect(paid(api)).toBe(ROWS + 1);
  });
});

describe('a batch whose file was deleted here', () => {
  it('is collected by what its answers say, and sent no second time', async () => {
    const { data, folder } = dataset();
    const api = await simulator();
    const submitted = await submit(api, data, folder);
    rmSync(resultsIn(folder).temp('jobs_batch.json'));
    const watched = await watch(api, data, folder, ['--retry_failed'], { env });
    expect(watched.code, submitted.stderr + watched.stderr).toBe(0);
    expect(
      resultsIn(folder)
        .rows()
        .every(({ annotation }) => annotation !== null),
    ).toBe(true);
    expect(api.statistics().batchesCreated).toBe(1);
    expect(paid(api)).toBe(ROWS);
  });
});

describe('a key of another project', () => {
  it('changes nothing, and says what is most likely wrong', async () => {
    const { data, folder } = dataset();
    const api = await simulator();
    await submit(api, data, folder);
    const stranger = { ...env, OPENAI_API_KEY: 'sk-of-another-project' };
    const wrong = await watch(api, data, folder, ['--retry_failed'], { env: stranger });
    expect(wrong.code, wrong.stderr).toBe(1);
    expect(wrong.stderr).toMatch(/belongs to another project or account/);
    const right = await watch(api, data, folder);
    expect(right.code, right.stderr).toBe(0);
    expect(paid(api)).toBe(ROWS);
  });
});

describe('a creation with an answer that cannot be read', () => {
  it('is found in the account', async () => {
    const { data, folder } = dataset();
    const api = await simulator({ batchPlans: [['unreadable_create', 'long_ids']] });
    const submitted = await submit(api, data, folder, [], { env });
    expect(submitted.code, submitted.stderr).toBe(0);
    const watched = await watch(api, data, folder);
    expect(watched.code, watched.stderr).toBe(0);
    expect(api.statistics().batchesCreated).toBe(1);
  });

  it('is never made a second time while the list does not show it', async () => {
    const { data, folder } = dataset();
    const api = await simulator({ batchPlans: [['unreadable_create', 'unlisted']] });
    const submitted = await submit(api, data, folder, [], { env });
    expect(submitted.code, submitted.stderr).toBe(75);
    expect(submitted.stderr).toMatch(/A batch of jobs_batch\.json may exist: .*No second one was created/);
    expect((await submit(api, data, folder, ['--resume'], { env })).code).toBe(75);
    expect((await watch(api, data, folder, ['--finish_online'], { env })).code).toBe(3);
    expect(api.statistics().batchesCreated).toBe(1);
    expect(paid(api)).toBe(ROWS);
    const released = await watch(api, data, folder, ['--finish_online', '--give_up', 'jobs_batch.json'], {
      env,
    });
    expect(released.code, released.stderr).toBe(0);
    expect(paid(api)).toBe(2 * ROWS);
  });

  it('is not made again under a key that cannot see it', async () => {
    const { data, folder } = dataset();
    const api = await simulator({ batchPlans: [['error_create']] });
    // The answer to the creation never comes, and the key does not work when the account is searched.
    const proxy = await faultyProxy(
      () => api.url,
      ({ line }) =>
        line === 'GET /v1/batches'
          ? { status: 401, body: '{"error":{"message":"Incorrect API key"}}' }
          : null,
    );
    expect((await submit(proxy, data, folder, [], { env })).code).toBe(1);
    const stranger = { ...env, OPENAI_API_KEY: 'sk-of-another-project' };
    const wrong = await submit(api, data, folder, ['--resume'], { env: stranger });
    expect(wrong.code, wrong.stderr).toBe(1);
    expect(wrong.stderr).toMatch(/this key does not see its input file/);
    expect((await submit(api, data, folder, ['--resume'], { env })).code).toBe(0);
    expect(api.statistics().batchesCreated).toBe(1);
  });
});

describe('a cancellation that the server does not know', () => {
  it('sends nothing online', async () => {
    const { data, folder } = dataset();
    const api = await simulator({ batchDurationMs: 600_000 });
    const proxy = await faultyProxy(
      () => api.url,
      ({ line }) => (line.endsWith('/cancel') ? { status: 404 } : null),
    );
    await submit(proxy, data, folder);
    const cancelled = await watch(proxy, data, folder, ['--cancel', '--yes', '--finish_online']);
    expect(cancelled.code, cancelled.stderr).toBe(1);
    expect(cancelled.stderr).toMatch(
      /could not be cancelled and may still run: batch_.*Nothing is sent online/,
    );
    expect(api.statistics().requests).toBe(0);
  });
});

describe('a run on two machines', () => {
  it('is not retried where the other one has retried it', async () => {
    const { data, folder, root } = dataset();
    const api = await simulator({ batchPlans: [['expire'], ['stuck']], batchDurationMs: 0 });
    const ids = idsOf(await submit(api, data, folder));
    const elsewhere = join(root, 'elsewhere');
    expect((await watch(api, data, elsewhere, ['--batch_ids', ids.join(',')])).code).toBe(3);
    expect((await watch(api, data, folder)).code).toBe(3);
    const other = await submit(api, data, elsewhere, ['--resume']);
    expect(other.code, other.stderr).toBe(0);
    // Its batch never ends, so neither machine may send its rows.
    const sent = await online(api, data, folder);
    expect(sent.code, sent.stderr).toBe(1);
    expect(sent.stderr).toMatch(/1 batch of this run that this folder does not know of .*--batch_ids/);
    const cancelled = await watch(api, data, elsewhere, ['--cancel', '--yes']);
    expect(cancelled.code, cancelled.stderr).toBe(3);
    const retried = await watch(api, data, folder, ['--finish_online']);
    expect(retried.stderr).toMatch(/1 more batch of this run, which counts as well/);
    expect(retried.code, retried.stderr).toBe(0);
    expect(paid(api)).toBe(ROWS);
  });
});

describe('a folder that was copied while its batch ran', () => {
  it('sends no row online while the other copy does, not even when that one was killed, until it is given up', async () => {
    const { data, folder, root } = dataset();
    const api = await simulator({ batchPlans: [['expire']] });
    const proxy = await killingProxy(api.url);
    expect((await submit(api, data, folder)).code).toBe(0);
    const copy = join(root, 'copy');
    cpSync(folder, copy, { recursive: true });
    const { child, finished } = startWatch(proxy, data, folder, ['--finish_online']);
    proxy.aim({ step: 'POST /v1/chat/completions', number: 0, moment: 'before' }, () =>
      child.kill('SIGKILL'),
    );
    await finished;
    proxy.aim(null, () => undefined);
    const refused = await watch(api, data, copy, ['--finish_online']);
    expect(refused.code, refused.stderr).toBe(75);
    const [, marker = ''] = /--give_up (reannotate-\S+-online-\S+\.jsonl)/.exec(refused.stderr) ?? [];
    const released = await watch(api, data, copy, ['--give_up', marker]);
    expect(released.stderr).toContain(`${marker} is given up`);
    // From here on each is free to send. The other one looks while the first request of this one is on its way.
    let elsewhere: Promise<Finished> | undefined;
    const slow = await faultyProxy(
      () => api.url,
      async ({ line }) => {
        if (line.startsWith('POST /v1/chat'))
          await (elsewhere ??= watch(api, data, copy, ['--finish_online']));
        return null;
      },
    );
    const sent = await watch(slow, data, folder, ['--finish_online']);
    const other = await elsewhere;
    expect([sent.code, other?.code], sent.stderr + (other?.stderr ?? '')).toEqual([0, 75]);
    expect(paid(api)).toBe(ROWS);
    const files = await fetch(`${api.url}/v1/files`, {
      headers: { authorization: 'Bearer sk-test-key-0001' },
    });
    expect(await files.text()).not.toContain('-online-');
  });
});

describe('a folder that was copied before its run had a batch', () => {
  it('pays for no row that a batch of the other copy asks, and collects that batch', async () => {
    const { data, folder, root } = dataset();
    const api = await simulator();
    const refusal = {
      message:
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
      type: 'invalid_request_error',
      param: 'max_tokens',
      code: 'unsupported_parameter',
    };
    const proxy = await faultyProxy(
      () => api.url,
      ({ line, number }) =>
        line === 'POST /v1/chat/completions' && number === 0
          ? { status: 400, body: JSON.stringify({ error: refusal }) }
          : null,
    );
    const elsewhere = join(root, 'elsewhere');
    const trial = [...batchArguments(data, folder), '--limit', '2'];
    expect(await runCli(trial, { env: pointingAt(proxy) })).toMatchObject({ code: 0 });
    cpSync(folder, elsewhere, { recursive: true });
    const submitted = await submit(proxy, data, elsewhere, ['--resume']);
    expect(submitted.code, submitted.stderr).toBe(0);
    // What was learnt online holds in the batch.
    const requests = readFileSync(resultsIn(elsewhere).temp('jobs_batch.json'), 'utf8');
    expect(requests).toContain('"max_completion_tokens":2048');
    expect(requests).not.toContain('"max_tokens"');
    const [sent, batched] = [await online(api, data, folder), await submit(api, data, folder, ['--resume'])];
    for (const refused of [sent, batched]) {
      expect(refused.code, refused.stderr).toBe(1);
      expect(refused.stderr).toContain(`watch-batch --batch_ids ${idsOf(submitted).join(',')}`);
    }
    const command = /npx watch-batch .*/.exec(sent.stderr)?.[0] ?? '';
    expect(await paste(command, api, folder)).toMatchObject({ code: 0 });
    expect(resultsIn(folder).summary().rows).toMatchObject({ total: ROWS, ok: ROWS });
    expect(paid(api)).toBe(ROWS);
  });
});

describe('a dataset that changed after its batches were submitted', () => {
  it('is refused by the names of both revisions where they are collected elsewhere', async () => {
    const { data, folder, root } = dataset();
    const api = await simulator({ datasets: { 'me/data': data } });
    const changed = await simulator({
      datasets: { 'me/data': writeJson(root, 'changed.json', alpacaRows(ROWS + 1)) },
    });
    const ids = idsOf(await submit(api, 'me/data', folder));
    const env = { HF_DATASETS_SERVER_URL: changed.url, HF_ENDPOINT: changed.url };
    const other = await watch(api, 'me/data', join(root, 'elsewhere'), ['--batch_ids', ids.join(',')], {
      env,
    });
    expect(other.code, other.stderr).toBe(1);
    expect(other.stderr).toMatch(
      /was submitted for revision [0-9a-f]{40} of me\/data, and the dataset is now at revision [0-9a-f]{40}/,
    );
    expect(await watch(api, 'me/data', folder, [], { env })).toMatchObject({ code: 0 });
  });
});

describe('--finish_online under --max_cost', () => {
  it('leaves room for what batches in doubt may cost', async () => {
    const { data, folder } = dataset();
    const api = await simulator({ batchPlans: [['lost_line'], ['expire']] });
    const [id = ''] = idsOf(await submit(api, data, folder, ['--max_batch_size', '3']));
    // One request costs at most a little more than $0.0012 online, and the lost one may have cost half of that.
    const limit = ['--finish_online', '--max_cost', '0.0017'];
    const kept = await watch(api, data, folder, limit, { env });
    expect(kept.code, kept.stderr).toBe(3);
    expect(kept.stderr).toContain('the next request could exceed --max_cost 0.0017');
    expect(api.statistics().requests).toBe(0);
    await watch(api, data, folder, [...limit, '--give_up', id], { env: calmer });
    expect(api.statistics().requests).toBeGreaterThan(0);
  });
});

describe('what an earlier version left', () => {
  it('is checked again: batches given up too early, and a page saved in place of a file', async () => {
    const { data, folder } = dataset();
    const api = await simulator();
    await submit(api, data, folder, ['--max_batch_size', '3']);
    expect((await watch(api, data, folder)).code).toBe(0);
    const { temp, saved } = resultsIn(folder);
    const ledger = JSON.parse(readFileSync(temp('batches.json'), 'utf8')) as {
      version: number;
      chunks: { state: string; batch: { raw: { id: string } }; collected: unknown }[];
    };
    // As version 1 wrote it: one batch "gone" after a 404, the other one collected from a page.
    ledger.version = 1;
    const [first, second] = ledger.chunks;
    if (first === undefined || second === undefined) throw new Error('two chunks');
    first.collected = null;
    const page = join(temp('downloads'), `${second.batch.raw.id}_output.jsonl`);
    rmSync(temp('downloads'), { recursive: true });
    mkdirSync(temp('downloads'));
    writeFileSync(page, '<html><title>Sign in</title></html>');
    writeFileSync(temp('batches.json'), JSON.stringify(ledger));
    writeFileSync(temp('output.jsonl'), '');
    rmSync(saved('reannotated.json'));
    const watched = await watch(api, data, folder, ['--retry_failed']);
    expect(watched.code, watched.stderr).toBe(0);
    expect(api.statistics().batchesCreated).toBe(2);
    expect(paid(api)).toBe(ROWS);
  });
});
