import { describe, expect, it } from 'vitest';
import { collect, type ReportedRun } from '../../src/report/collect.js';
import { comparisonOf, refuseOtherDatasets, rowsToCompare } from '../../src/report/comparison.js';
import type { ReportData, ShownRow } from '../../src/report/data.js';
import { runFolder } from '../../src/run/folder.js';
import { temporaryFolder } from '../support/cli.js';
import { writeRun, type WrittenRow } from '../support/run-files.js';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { verdictsBetween } from '../../src/report/pair-verdicts.js';

function runOf(dataset: string, config: Record<string, unknown> = {}): ReportedRun {
  return {
    folder: runFolder('/saved', '/temp', 'run'),
    ...{ dataset, annotator: 'm', config, parts: [] },
    pricing: { price: null, isBatch: false },
  };
}

describe('runs that are compared', () => {
  it.each([
    ['the same dataset', 'a/b', {}, 'a/b', {}, null],
    ['other parameters', 'a/b', { params: { seed: 1 } }, 'a/b', { params: { seed: 2 } }, null],
    ['another limit', 'a/b', { params: { limit: 1 } }, 'a/b', {}, null],
    ['one file, written in two ways', './x.jsonl', {}, 'x.jsonl', {}, null],
    ['another dataset', 'a/b', {}, 'a/c', {}, /a\/b .*a\/c/],
    ['another file', 'x.jsonl', {}, 'y.jsonl', {}, /x\.jsonl .*y\.jsonl/],
    [
      'files of one name in two folders',
      'x.jsonl',
      { dataset: { paths: ['/one/x.jsonl'] } },
      'x.jsonl',
      { dataset: { paths: ['/two/x.jsonl'] } },
      /cannot be compared/,
    ],
    [
      'another split',
      'a/b',
      { dataset: { split: 'train' } },
      'a/b',
      { dataset: { split: 'test' } },
      /split test/,
    ],
    ['another subset', 'a/b', {}, 'a/b', { params: { subset: 'x' } }, /subset x/],
    ['other rows', 'a/b', {}, 'a/b', { params: { offset: 100 } }, /offset 100/],
  ])('may have %s, or are refused by name', (_, one, config, other, otherConfig, message) => {
    const runs = [runOf(one, config), runOf(other, otherConfig)];
    const check = (): void => {
      refuseOtherDatasets(runs);
    };
    if (message === null) expect(check).not.toThrow();
    else expect(check).toThrow(message);
  });

  it('show the rows that most of them chose, in order', () => {
    const chosen = (...rows: number[]): ReportData =>
      ({ shown: rows.map((row) => ({ row }) as ShownRow) }) as ReportData;
    expect(rowsToCompare([chosen(5, 1), chosen(9, 1)])).toEqual([1, 5, 9]);
    const many = Array.from({ length: 700 }, (_, row) => row);
    const rows = rowsToCompare([chosen(...many), chosen(650, 699)]);
    expect(rows).toHaveLength(600);
    expect(rows).toContain(650);
    expect(rows).toContain(699);
  });

  async function reportOf(rows: readonly WrittenRow[], name: string): Promise<ReportData> {
    const root = temporaryFolder();
    writeRun(root, name, { rows });
    const run = {
      ...runOf('a/b'),
      annotator: name,
      folder: runFolder(join(root, 'saved'), join(root, 'temp'), name),
    };
    const options = { sample: 100, rows: [], isPublic: false, version: '0', now: new Date(0) };
    return collect(run, { ...options, onProgress: () => undefined });
  }

  it('have figures, answers and wins side by side', async () => {
    const answers = (text: string, count = 3): WrittenRow[] =>
      Array.from({ length: count }, (_, row) => ({
        annotation_original: `Old ${row}`,
        annotation: `${text} ${row}`,
      }));
    const reports = [
      await reportOf(answers('One'), 'm-1'),
      await reportOf(
        [...answers('Two', 2), { annotation_original: 'Old 2', state: 'failed', error: 'no' }],
        'm-2',
      ),
    ];
    const verdict = (preferred: string): { preferred: string; reason: string } => ({
      preferred,
      reason: 'So.',
    });
    const verdicts = [
      new Map([0, 1, 2].map((row) => [row, verdict(row === 2 ? 'undecided' : 'new')])),
      new Map([0, 1, 2].map((row) => [row, verdict(row === 0 ? 'old' : 'new')])),
    ];
    const compared = reports.map((report, place) => ({
      run: runOf('a/b'),
      report,
      verdicts: verdicts[place] ?? new Map<number, never>(),
    }));
    const data = comparisonOf(compared, [0, 1, 2]);
    expect(data.labels).toEqual(['m-1', 'm-2']);
    expect(data.figures).toContainEqual(['ok', '3', '2']);
    expect(data.figures).toContainEqual(['failed', '0', '1']);
    expect(data.figures).toContainEqual(['Cost of 1,000 answers', '$166.67', '$250.00']);
    expect(data.wins).toEqual([{ one: 0, other: 1, wins: 1, ties: 1, losses: 0 }]);
    expect(data.shown.map(({ runs }) => runs?.map((row) => row?.new ?? null))).toEqual([
      ['One 0', 'Two 0'],
      ['One 1', 'Two 1'],
      ['One 2', null],
    ]);
  });

  it('are refused where a row has another original answer', async () => {
    const reports = [
      await reportOf([{ annotation_original: 'Old', annotation: 'x' }], 'm-1'),
      await reportOf([{ annotation_original: 'Another', annotation: 'x' }], 'm-2'),
    ];
    const compared = reports.map((report) => ({
      run: runOf('a/b'),
      report,
      verdicts: new Map<number, never>(),
    }));
    expect(() => comparisonOf(compared, [0])).toThrow(/row 0 of m-2 has another original answer/);
  });

  it('have the verdicts and the ranking of reannotate compare, where these are on the same answers', async () => {
    const root = temporaryFolder();
    const answers = (text: string): WrittenRow[] =>
      [0, 1, 2].map((row) => ({ annotation_original: `Old ${row}`, annotation: `${text} ${row}` }));
    for (const name of ['m-1', 'm-2']) writeRun(root, name, { rows: answers(name) });
    renameSync(join(root, 'saved'), join(root, 'answers'));
    // Row 2 was judged with another answer, which is no longer that of the run.
    const judged = answers('m-1').map(({ annotation = '' }, row) => ({
      annotation_original: row === 2 ? 'Earlier' : annotation,
      annotation: `m-2 ${row}`,
    }));
    const reason = 'With the new answer as A: So.';
    const judgements = ['old', 'tie', 'old'].map((verdict, row) => ({ request_idx: row, verdict, reason }));
    writeRun(join(root, 'pair'), 'm-1_vs_m-2', { rows: judged, judgements });
    renameSync(join(root, 'pair', 'saved'), join(root, 'pairs'));
    const runs = ['m-2', 'm-1'].map((name) => ({
      ...runOf('a/b'),
      annotator: name,
      folder: runFolder(join(root, 'answers'), join(root, 'temp'), name),
    }));
    const pairs = await verdictsBetween(runs);
    expect(pairs.map(({ one, other, byRow }) => [one, other, [...byRow.keys()]])).toEqual([[0, 1, [0, 1]]]);
    const reports = await Promise.all(
      runs.map((run) =>
        collect(run, {
          ...{ sample: 9, rows: [], isPublic: false, version: '0', now: new Date(0) },
          onProgress: () => undefined,
        }),
      ),
    );
    const compared = reports.map((report, place) => ({
      run: runs[place] ?? runOf('a/b'),
      report,
      verdicts: new Map(),
    }));
    const data = comparisonOf(compared, [0, 1, 2], pairs);
    expect(data.matches).toMatchObject([
      { one: 0, other: 1, wins: 0, ties: 1, losses: 1, undecided: 0, winRate: 0.25 },
    ]);
    expect(data.ranking.map(({ run, wins }) => [data.labels[run], wins])).toEqual([
      ['m-1', 1],
      ['m-2', 0],
    ]);
    const [first] = data.shown;
    expect(first?.matches).toEqual([
      { one: 0, other: 1, preferred: 'other', reason: 'With the answer of m-2 as A: So.' },
    ]);
    expect(await verdictsBetween(runs.slice(0, 1))).toEqual([]);
  });
});
