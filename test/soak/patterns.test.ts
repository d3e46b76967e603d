import { Worker } from 'node:worker_threads';
import { expect, it, vi } from 'vitest';
import { assembledPatterns, attacksOn, patternsOfSource, type Pattern } from '../support/patterns.js';
import { cases, spread, Tally } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const LENGTH = cases(100_000, 1 << 20);
/** A linear pattern takes milliseconds, and a quadratic one minutes. */
const MOST_MS = cases(10_000, 60_000);

/** Runs patterns over their attacks, and reports each as done. */
const RUNNER = `
  const { parentPort, workerData } = require('node:worker_threads');
  for (const [index, { source, flags, attacks }] of workerData.patterns.entries()) {
    for (const attack of attacks) {
      const text = attack.repeat(Math.ceil(workerData.length / attack.length)) + '\\u0000';
      const pattern = new RegExp(source, flags);
      if (pattern.global) text.replace(pattern, '');
      else pattern.test(text);
    }
    parentPort.postMessage(index);
  }`;

/** The pattern that took too long; null where none did. */
async function slowOne(found: readonly Pattern[], most = MOST_MS): Promise<string | null> {
  const patterns = found.map((pattern) => ({ ...pattern, attacks: attacksOn(pattern) }));
  const worker = new Worker(RUNNER, { eval: true, workerData: { patterns, length: LENGTH } });
  let next = 0;
  try {
    return await new Promise<string | null>((resolve, reject) => {
      const late = (): void => {
        const { place = '', source = '' } = patterns[next] ?? {};
        resolve(`${place}: /${source}/`);
      };
      let timer = setTimeout(late, most);
      worker.on('message', (done: number) => {
        next = done + 1;
        clearTimeout(timer);
        if (next === patterns.length) resolve(null);
        else timer = setTimeout(late, most);
      });
      worker.on('error', reject);
    });
  } finally {
    await worker.terminate();
  }
}

it('every regular expression of the source takes linear time for its worst text', async () => {
  const tally = new Tally('regular expressions against their worst texts');
  const found = patternsOfSource();
  expect(found.length).toBeGreaterThan(200);
  const patterns = spread(found, 80);
  expect(await slowOne(patterns)).toBeNull();
  tally.survived(patterns.length);
});

it('and so does every one that is built when the program starts', async () => {
  const tally = new Tally('regular expressions that are put together');
  const patterns = await assembledPatterns((path) => {
    vi.resetModules();
    return import(path);
  });
  expect(patterns.map(({ place }) => place)).toContain('lib/hidden-characters.ts');
  expect(await slowOne(patterns)).toBeNull();
  tally.survived(patterns.length);
});

it.each([/limit[: ]+([\d,]+)[^]*?requested[: ]+([\d,]+)/i, /\/+$/, /(?:a|a)*c/])(
  'finds one that does not: %s',
  async ({ source, flags }) => {
    expect(await slowOne([{ place: 'here', source, flags }], 300)).toBe(`here: /${source}/`);
  },
);
