import { appendFileSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compareFile, fingerprint, resolvedPath } from '../../src/run/fingerprint.js';
import { checkRunName, findRunFolder, runName } from '../../src/run/folder.js';
import { compareLimits, type RunIdentity } from '../../src/run/identity.js';
import { nearestRuns, type KnownRun } from '../../src/run/known-runs.js';
import { checkSource } from '../../src/run/source.js';
import { temporaryFolder } from '../support/cli.js';

describe('the name of a run', () => {
  it.each([
    ['glaiveai/glaive-code-assistant', 'gpt-4o-mini', 'glaiveai_glaive-code-assistant_gpt-4o-mini'],
    ['me/data', 'groq/llama-3', 'me_data_groq_llama-3'],
    ['data.jsonl', 'm', 'data.jsonl_m'],
    ['a/b/data.jsonl', 'm', 'a_b_data.jsonl_m'],
    ['/abs/data.jsonl', 'm', '_abs_data.jsonl_m'],
    ['./data.jsonl', 'm', 'data.jsonl_m'],
    ['../data.jsonl', 'm', 'data.jsonl_m'],
    ['../../x/data.jsonl', 'm', 'x_data.jsonl_m'],
    ['.hidden/data.jsonl', 'm', 'hidden_data.jsonl_m'],
    ['./.hidden.jsonl', 'm', 'hidden.jsonl_m'],
    ['data/', 'm', 'data_m'],
    ['../data/', 'm', 'data_m'],
    ['data/*.jsonl', 'm', 'data__.jsonl_m'],
    ['-', 'm', 'stdin_m'],
    ['x\u202ey', 'm', 'x_y_m'],
  ])('%s with %s is %s', (dataset, annotator, name) => {
    expect(runName(dataset, annotator)).toBe(name);
  });

  it.each(['.', '..', '../..', './', '...'])('%s gives a name that is not hidden', (dataset) => {
    expect(runName(dataset, 'm')).toMatch(/^[^./].*_m$/);
  });

  it('finds a folder under the name that earlier versions gave it, unless there is one under the new name', () => {
    const root = temporaryFolder();
    const place = {
      ...{ saveDir: join(root, 'saved'), tempDir: join(root, 'temp') },
      ...{ dataset: '../x.jsonl', annotator: 'm', runName: null },
    };
    expect(findRunFolder(place).name).toBe('x.jsonl_m');
    mkdirSync(join(root, 'temp', '.._x.jsonl_m'), { recursive: true });
    expect(findRunFolder(place).name).toBe('.._x.jsonl_m');
    mkdirSync(join(root, 'saved', 'x.jsonl_m'), { recursive: true });
    expect(findRunFolder(place).name).toBe('x.jsonl_m');
    expect(findRunFolder({ ...place, runName: 'mine' }).name).toBe('mine');
  });

  it.each(['trial', 'trial-2', 'Über uns', 'a.b', '日本語'])('--run_name takes %s', (name) => {
    expect(checkRunName(name)).toBe(name);
  });

  it.each([
    '.',
    '..',
    '../x',
    'a/b',
    'a\\b',
    '/x',
    '.x',
    '-x',
    ' x',
    'x ',
    'a\u0000b',
    'a\nb',
    'a\u202eb',
    'a:b',
    'x'.repeat(300),
  ])('--run_name refuses %j', (name) => {
    expect(() => checkRunName(name)).toThrow('--run_name');
  });
});

describe('a limit for a run that exists', () => {
  it.each([
    // earlier, now, rows, growing, what
    [100, 100, 100, false, 'same'],
    [100, 200, 100, false, 'grow'],
    [100, null, 100, false, 'grow'],
    [null, null, 500, false, 'same'],
    [null, 500, 500, false, 'same'],
    [null, 900, 500, false, 'same'],
    // The dataset had fewer rows than the limit.
    [100, 200, 60, false, 'same'],
    [100, 60, 60, false, 'same'],
    [100, null, 60, false, 'same'],
    // Killed while it grew: before and after the rows were replaced.
    [200, 200, 100, true, 'grow'],
    [null, null, 100, true, 'grow'],
    [200, 100, 100, true, 'same'],
    [200, 200, 200, true, 'same'],
    // Rows that are lost are loaded again.
    [100, 100, null, false, 'same'],
    [100, 200, null, false, 'same'],
  ] as const)('%s, now %s with %s rows (growing: %s): %s', (earlier, now, rows, isGrowing, what) => {
    expect(compareLimits(earlier, now, rows, isGrowing)).toBe(what);
  });

  it.each([
    [100, 99, 100, false, '--limit 100'],
    [null, 100, 500, false, 'no --limit'],
    [100, 50, 60, false, '--limit 100'],
    [200, 100, 150, true, '--limit 200'],
    [100, 50, null, false, '--limit 100'],
    [null, 50, null, false, 'no --limit'],
  ] as const)(
    '%s, now %s with %s rows (growing: %s) would shrink it',
    (earlier, now, rows, isGrowing, way) => {
      expect(() => compareLimits(earlier, now, rows, isGrowing)).toThrow(
        new RegExp(`--limit ${now} would leave rows out. Use ${way}`),
      );
    },
  );
});

/** A run of some files, as `run.json` has it. */
async function runOf(...paths: string[]): Promise<Pick<RunIdentity, 'asked' | 'source'>> {
  const files = await Promise.all(paths.map(fingerprint));
  return { asked: { dataset: paths[0] ?? '' } as RunIdentity['asked'], source: { files } };
}

describe('the dataset of a run that exists', () => {
  const file = (text: string, name = 'data.jsonl'): string => {
    const path = join(temporaryFolder(), name);
    writeFileSync(path, text);
    return path;
  };

  it('is the same after a copy, a touch, a move and through a link, and says where it was', async () => {
    const path = file('{"a":1}\n');
    const run = await runOf(path);
    expect(await checkSource(run, path, 'T')).toEqual({ note: null, isGone: false });
    utimesSync(path, 1, 1);
    expect(await checkSource(run, path, 'T')).toEqual({ note: null, isGone: false });
    const link = join(temporaryFolder(), 'link.jsonl');
    symlinkSync(path, link);
    expect(await checkSource(run, link, 'T')).toEqual({ note: null, isGone: false });
    const copy = file('{"a":1}\n', 'copy.jsonl');
    const { note, isGone } = await checkSource(run, copy, 'T');
    expect(isGone).toBe(false);
    expect(note).toContain(resolvedPath(path));
  });

  it.each([
    [
      'appended rows',
      (path: string) => {
        appendFileSync(path, '{"a":2}\n');
      },
      '8 bytes of rows were appended',
    ],
    [
      'an edit of the same size',
      (path: string) => {
        writeFileSync(path, '{"a":2}\n');
      },
      'at the same size of 8 bytes',
    ],
    [
      'a shorter file',
      (path: string) => {
        writeFileSync(path, '{}\n');
      },
      '8 bytes then, 3 now',
    ],
    [
      'another, longer file',
      (path: string) => {
        writeFileSync(path, '{"b":100}\n');
      },
      '8 bytes then, 10 now',
    ],
    [
      'an empty file',
      (path: string) => {
        writeFileSync(path, '');
      },
      '8 bytes then, 0 now',
    ],
  ])('is refused after %s', async (_, change, message) => {
    const path = file('{"a":1}\n');
    const run = await runOf(path);
    change(path);
    await expect(checkSource(run, path, 'T')).rejects.toThrow(message);
    await expect(checkSource(run, path, 'T')).rejects.toThrow('has changed since this run started');
    await expect(checkSource(run, path, 'T')).rejects.toThrow('--run_name');
  });

  it('is refused where another file has its name', async () => {
    const run = await runOf(file('{"a":1}\n'));
    const other = file('{"b":1}\n');
    await expect(checkSource(run, other, 'T')).rejects.toThrow(`T holds a run of another file`);
  });

  it('may be deleted: the run has its own rows', async () => {
    const path = file('{"a":1}\n');
    const run = await runOf(path);
    rmSync(path);
    const { note, isGone } = await checkSource(run, path, 'T');
    expect(isGone).toBe(true);
    expect(note).toContain('no longer exists');
    await expect(checkSource(run, '/elsewhere/other.jsonl', 'T')).rejects.toThrow('holds a run of');
  });

  const STANDARD_INPUT_NOTE = 'Standard input is not read: this run has its own copy of the rows.';
  it.each([
    ['me/data', 'me/data', true],
    ['me/data', 'me/other', false],
    ['me/data', 'me_data.jsonl', false],
    ['old.jsonl', './old.jsonl', true],
    ['a/old.jsonl', 'b/old.jsonl', false],
    ['-', '-', true],
  ])('is known by its name alone where there is no fingerprint: %s and %s', async (earlier, now, isSame) => {
    const run = { asked: { dataset: earlier } as RunIdentity['asked'] };
    const checked = checkSource(run, now, 'T');
    if (isSame) expect((await checked).note).toBe(now === '-' ? STANDARD_INPUT_NOTE : null);
    else await expect(checked).rejects.toThrow(`T holds a run of ${earlier}, not of ${now}`);
  });

  it('compares the start of a file that became longer', async () => {
    const path = file('x'.repeat(3_000_000));
    const earlier = await fingerprint(path);
    appendFileSync(path, 'more');
    expect(await compareFile(earlier, path)).toEqual({ kind: 'appended', bytes: 4 });
    writeFileSync(path, `y${'x'.repeat(3_000_003)}`);
    expect(await compareFile(earlier, path)).toEqual({ kind: 'edited' });
  });
});

describe('the nearest runs', () => {
  const run = (dataset: string, annotator: string): KnownRun => ({
    ...{ tempDir: 't', saveDir: 's', name: runName(dataset, annotator), isNamed: false },
    ...{ dataset, annotator },
  });
  const known = [
    run('glaiveai/glaive-code-assistant', 'gpt-4o-mini-2024-07-18'),
    run('glaiveai/glaive-code-assistant', 'gpt-4o'),
    run('data/train.jsonl', 'gpt-4o-mini'),
    run('tatsu-lab/alpaca', 'gpt-4o-mini'),
  ];

  it.each([
    ['glaiveai/glaive-code-assistant', 'gpt-4o-mini', 'gpt-4o-mini-2024-07-18'],
    ['glaiveai/glaive-code-asistant', 'gpt-4o', 'gpt-4o'],
    ['./data/train.jsonl', 'gpt-4o-mini', 'gpt-4o-mini'],
    ['train.jsonl', 'gpt-4o-mini', 'gpt-4o-mini'],
    ['/home/me/data/train.jsonl', 'gpt-4o-mini', 'gpt-4o-mini'],
  ])('to %s with %s', (dataset, annotator, expected) => {
    expect(nearestRuns(known, { dataset, annotator })[0]?.annotator).toBe(expected);
  });

  it('are none where nothing is alike', () => {
    expect(nearestRuns(known, { dataset: 'zzz/qqq', annotator: 'claude-x' })).toEqual([]);
  });
});
