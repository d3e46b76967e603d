import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { merge } from '../../src/commands/merge.js';
import { EXIT, UserError } from '../../src/lib/errors.js';
import { FolderLock, LockWatch } from '../../src/lib/lock.js';
import type { OpenPlan } from '../../src/session/open-plan.js';
import { SessionPool } from '../../src/session/session-pool.js';
import { runShard } from '../../src/session/shard-run.js';
import { shardFolder } from '../../src/shards/folders.js';
import { readState } from '../../src/shards/state.js';
import { temporaryFolder } from '../support/cli.js';
import { answerLine, finishShard, plannedRun, quietSurroundings } from '../support/planned-run.js';

const SIZES = [3, 1, 4, 2];

/** What may be wrong with a shard's folder, and what the merge says of it. */
interface Damage {
  does: (planned: OpenPlan, shard: number) => void;
  says: RegExp;
  /** True where time or another worker mends it. */
  isTransient?: true;
}

function folderOf({ runDir }: OpenPlan, shard: number): string {
  return shardFolder(runDir, shard).temp;
}

function changeState(planned: OpenPlan, shard: number, change: object): void {
  const path = join(folderOf(planned, shard), 'state.json');
  writeFileSync(path, JSON.stringify({ ...(readState(folderOf(planned, shard)) as object), ...change }));
}

function edit(path: string, change: (text: string) => string): void {
  writeFileSync(path, change(readFileSync(path, 'utf8')));
}

const DAMAGES: Readonly<Record<string, Damage>> = {
  'no folder': {
    does: (planned, shard) => {
      rmSync(folderOf(planned, shard), { recursive: true });
    },
    says: /was never worked on/,
    isTransient: true,
  },
  'no state': {
    does: (planned, shard) => {
      rmSync(join(folderOf(planned, shard), 'state.json'));
    },
    says: /was never worked on/,
    isTransient: true,
  },
  'a torn state': {
    does: (planned, shard) => {
      truncateSync(join(folderOf(planned, shard), 'state.json'), 40);
    },
    says: /state\.json that cannot be read/,
  },
  'a worker that left early': {
    does: (planned, shard) => {
      changeState(planned, shard, { phase: 'stopped' });
    },
    says: /is not done/,
    isTransient: true,
  },
  'another plan': {
    does: (planned, shard) => {
      changeState(planned, shard, { plan: 'f'.repeat(64) });
    },
    says: /belongs to another plan/,
  },
  'a copy of another shard': {
    does: (planned, shard) => {
      rmSync(folderOf(planned, shard), { recursive: true });
      const other = folderOf(planned, (shard + 1) % SIZES.length);
      // An earlier damage may have taken it away.
      if (existsSync(other)) cpSync(other, folderOf(planned, shard), { recursive: true });
    },
    says: /holds a second copy of shard|was never worked on|belongs|cannot be read|is not done|holds rows/,
  },
  'rows of another range': {
    does: (planned, shard) => {
      changeState(planned, shard, { start: 1000 });
    },
    says: /holds rows 1000 to/,
  },
  'other input': {
    does: (planned, shard) => {
      changeState(planned, shard, { input: '0'.repeat(64) });
    },
    says: /was made of other input/,
  },
  'a cut journal': {
    does: (planned, shard) => {
      truncateSync(join(folderOf(planned, shard), 'output.1.jsonl'), 10);
    },
    says: /has lost answers: output\.1\.jsonl has 10 bytes/,
  },
  'a folder in the place of its journal': {
    does: (planned, shard) => {
      const journal = join(folderOf(planned, shard), 'output.1.jsonl');
      rmSync(journal);
      mkdirSync(journal);
    },
    says: /output\.1\.jsonl is missing/,
  },
  'the journal of another shard behind a link': {
    does: (planned, shard) => {
      const journal = join(folderOf(planned, shard), 'output.1.jsonl');
      rmSync(journal);
      symlinkSync(join(folderOf(planned, (shard + 1) % SIZES.length), 'output.1.jsonl'), journal);
    },
    says: /output\.1\.jsonl is missing/,
  },
  'no journal': {
    does: (planned, shard) => {
      rmSync(join(folderOf(planned, shard), 'output.1.jsonl'));
    },
    says: /output\.1\.jsonl is missing/,
  },
  'no rows': {
    does: (planned, shard) => {
      rmSync(join(folderOf(planned, shard), 'rows.jsonl'));
    },
    says: /has lost its rows\.jsonl/,
  },
  'changed rows': {
    does: (planned, shard) => {
      edit(join(folderOf(planned, shard), 'rows.jsonl'), (text) => text.replace('prompt', 'tpmorp'));
    },
    says: /another rows\.jsonl than its worker left|cannot be read or belong to other rows/,
  },
  'bytes of the journal that rotted': {
    does: (planned, shard) => {
      edit(join(folderOf(planned, shard), 'output.1.jsonl'), (text) =>
        text.replace('request_idx', '###########'),
      );
    },
    says: /has lost 1 answer|cannot be read or belong to other rows/,
  },
  'an answer to another prompt': {
    does: (planned, shard) => {
      edit(join(folderOf(planned, shard), 'output.1.jsonl'), (text) => text.replace('"prompt', '"tpmorp'));
    },
    says: /1 line that cannot be read or belong to other rows/,
  },
  'a folder that is none of the plan’s': {
    does: ({ runDir }) => {
      mkdirSync(join(runDir, 'shards', '03'), { recursive: true });
    },
    says: /The folder shards\/03 is no shard of this plan/,
  },
};

/** A line of a journal whose answer has a second, longer choice. */
function withLonger(line: string): string {
  const [request, response, metadata] = JSON.parse(line) as [object, { choices: object[] }, object];
  const [choice] = response.choices;
  const second = { ...choice, index: 1, message: { role: 'assistant', content: 'a longer answer' } };
  return JSON.stringify([request, { ...response, choices: [choice, second] }, metadata]);
}

/** What workers may leave behind that changes nothing. */
const HARMLESS: Readonly<Record<string, (planned: OpenPlan, shard: number) => void>> = {
  nothing: () => undefined,
  'a torn line': (planned, shard) => {
    appendFileSync(join(folderOf(planned, shard), 'output.1.jsonl'), '[{"model":"m"');
  },
  'an answer that came late': (planned, shard) => {
    const { start = 0 } = planned.plan.shards[shard] ?? {};
    writeFileSync(join(folderOf(planned, shard), 'output.2.jsonl'), `${answerLine(start, 0, 'late')}\n`);
  },
  'files of a file system': ({ runDir }) => {
    writeFileSync(join(runDir, 'shards', '.nfs00000000deadbeef'), '');
    mkdirSync(join(runDir, 'shards', '.snapshot'), { recursive: true });
  },
  'an attempt without an answer': (planned, shard) => {
    writeFileSync(join(folderOf(planned, shard), 'output.7.jsonl'), '');
  },
};

describe('merge', () => {
  it('gives one result of all shards, and ignores leftovers of workers', async () => {
    const kind = fc.constantFrom(...Object.keys(HARMLESS));
    await fc.assert(
      fc.asyncProperty(
        fc.array(kind, { minLength: SIZES.length, maxLength: SIZES.length }),
        async (kinds) => {
          const folder = temporaryFolder();
          const planned = await plannedRun(folder, SIZES);
          kinds.forEach((one, shard) => HARMLESS[one]?.(planned, shard));
          expect(await merge(planned, null, quietSurroundings())).toBe(EXIT.done);
          const rows = JSON.parse(
            readFileSync(join(folder, 'saved', 'run', 'reannotated.json'), 'utf8'),
          ) as object[];
          expect(rows).toEqual(
            Array.from({ length: 10 }, (_, row) => ({
              system_prompt: '',
              user_prompt: `prompt ${row}`,
              annotation_original: null,
              annotation: `answer ${row}`,
            })),
          );
        },
      ),
      { numRuns: 8 },
    );
  });

  it('names every shard that is not whole, and leaves earlier results alone', async () => {
    const damage = fc.record({
      kind: fc.constantFrom(...Object.keys(DAMAGES)),
      shard: fc.nat(SIZES.length - 1),
    });
    await fc.assert(
      fc.asyncProperty(damage, fc.option(damage), async (first, second) => {
        const folder = temporaryFolder();
        const planned = await plannedRun(folder, SIZES);
        const done = second === null || second.shard === first.shard ? [first] : [first, second];
        for (const { kind, shard } of done) {
          if (existsSync(folderOf(planned, shard))) DAMAGES[kind]?.does(planned, shard);
        }
        mkdirSync(join(folder, 'saved', 'run'), { recursive: true, mode: 0o700 });
        writeFileSync(join(folder, 'saved', 'run', 'reannotated.json'), 'earlier');
        const context = quietSurroundings();
        const error = await merge(planned, null, context).catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(UserError);
        const said = context.said.join('');
        // What is known without reading is reported before anything is read.
        expect(done.some(({ kind }) => DAMAGES[kind]?.says.test(said))).toBe(true);
        if (done.length === 1)
          expect((error as UserError).exitCode).toBe(
            DAMAGES[first.kind]?.isTransient === true ? EXIT.tryLater : EXIT.cannotGoOn,
          );
        expect(readFileSync(join(folder, 'saved', 'run', 'reannotated.json'), 'utf8')).toBe('earlier');
      }),
      {
        numRuns: 40,
        examples: Object.keys(DAMAGES).map((kind, index) => [{ kind, shard: index % SIZES.length }, null]),
      },
    );
  });

  it('waits for no worker: a shard that one works on is named', async () => {
    const planned = await plannedRun(temporaryFolder(), SIZES);
    changeState(planned, 2, { phase: 'working' });
    const attempt = FolderLock.attempt(folderOf(planned, 2), new LockWatch());
    const context = quietSurroundings();
    await expect(merge(planned, null, context)).rejects.toMatchObject({ exitCode: EXIT.tryLater });
    expect(context.said.join('')).toMatch(/Shard 2 is worked on by process \d+ on /);
    if (attempt.kind === 'taken') attempt.lock.release();
  });

  it.each(['a cut journal', 'no rows', 'changed rows'])(
    'opens a shard again that lost something, so that the next worker sends the rest: %s',
    async (kind) => {
      const planned = await plannedRun(temporaryFolder(), SIZES);
      DAMAGES[kind]?.does(planned, 2);
      await expect(merge(planned, null, quietSurroundings())).rejects.toThrow(
        'otherwise its rows are sent again',
      );
      expect(readState(folderOf(planned, 2))).toMatchObject({ phase: 'stopped' });
      expect(readState(folderOf(planned, 1))).toMatchObject({ phase: 'done' });
      const context = quietSurroundings();
      await expect(merge(planned, null, context)).rejects.toMatchObject({ exitCode: EXIT.tryLater });
      expect(context.said.join('')).toMatch(/Shard 2 is not done \(4 of 4 rows; shard 2 has /);
    },
  );

  it('opens a shard again whose lines answer other rows, so that only these are sent', async () => {
    const planned = await plannedRun(temporaryFolder(), SIZES);
    DAMAGES['an answer to another prompt']?.does(planned, 2);
    await expect(merge(planned, null, quietSurroundings())).rejects.toThrow('1 shard (2) is not whole');
    expect(readState(folderOf(planned, 2))).toMatchObject({ phase: 'stopped' });
    expect(
      await merge(planned, null, quietSurroundings()).catch(
        (error: unknown) => (error as UserError).exitCode,
      ),
    ).toBe(EXIT.tryLater);
  });

  it('writes what --select and --check of the plan ask for', async () => {
    const folder = temporaryFolder();
    const planned = await plannedRun(folder, SIZES, { n: '2', select: 'longest', check: 'answer' });
    for (const shard of SIZES.keys())
      edit(join(folderOf(planned, shard), 'output.1.jsonl'), (text) => text.replaceAll(/.+/g, withLonger));
    expect(await merge(planned, null, quietSurroundings())).toBe(EXIT.done);
    const rows = JSON.parse(
      readFileSync(join(folder, 'saved', 'run', 'reannotated.json'), 'utf8'),
    ) as object[];
    expect(rows).toHaveLength(10);
    for (const row of rows) expect(row).toMatchObject({ annotation: 'a longer answer', agrees: null });
  });

  it('takes no answer that breaks the schema of the plan', async () => {
    const response_format = JSON.stringify({
      type: 'json_schema',
      json_schema: { name: 'answer', schema: { type: 'object' } },
    });
    const planned = await plannedRun(temporaryFolder(), [2], { response_format });
    const context = quietSurroundings();
    await expect(merge(planned, null, context)).rejects.toThrow(UserError);
    expect(context.said.join('')).toContain('has lost 2 answers that its worker left');
  });

  it('refuses a plan that was changed', async () => {
    const folder = temporaryFolder();
    const { runDir } = await plannedRun(folder, SIZES);
    edit(join(runDir, 'plan.json'), (text) => text.replace('"start":3', '"start":2'));
    const { readPlan } = await import('../../src/shards/plan.js');
    expect(() => readPlan(runDir)).toThrow('was damaged or changed');
    edit(join(runDir, 'plan.json'), (text) => text.replace('"version": 1', '"version": 2'));
    expect(() => readPlan(runDir)).toThrow('newer version of reannotate');
    renameSync(join(runDir, 'plan.json'), join(runDir, 'plan.old'));
    expect(() => readPlan(runDir)).toThrow('There is no');
  });
});

describe('a worker', () => {
  it('refuses a folder that was copied from another shard', async () => {
    const planned = await plannedRun(temporaryFolder(), SIZES);
    const context = quietSurroundings();
    DAMAGES['a copy of another shard']?.does(planned, 1);
    const nothing = (): void => undefined;
    const work = {
      ...planned,
      price: null,
      context,
      pool: new SessionPool(),
      share: () => 1,
      onSending: nothing,
      onNote: nothing,
      watching: { checkInterval: 20, giveUp: [] },
    };
    await expect(runShard(work, 1, shardFolder(planned.runDir, 1))).rejects.toThrow(
      'contains a copy of shard 2',
    );
    rmSync(folderOf(planned, 1), { recursive: true });
    await finishShard(planned, 1);
    expect(await merge(planned, null, context)).toBe(EXIT.done);
  });
});
