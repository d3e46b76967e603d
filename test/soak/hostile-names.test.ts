import { readdirSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { readConfig, writeConfig, type ConfigFile } from '../../src/run/config.js';
import { runFolder, runName } from '../../src/run/folder.js';
import { codePoint } from '../support/code-point.js';
import { temporaryFolder } from '../support/cli.js';
import { cases, Tally } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const MISLEADING = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069/]/;
const text = fc.oneof(
  fc.string({ unit: codePoint }),
  fc.string({ unit: 'grapheme', maxLength: 400 }),
  fc
    .array(fc.constantFrom('..', '/', '.', '\\', '\u0000', '\u202e', 'CON', '~', '%2e', 'a', ' ', '\ud83d'), {
      maxLength: 300,
    })
    .map((parts) => parts.join('')),
);

/** Names that lead out of a folder, are no names on some systems, or show as something else. */
const KNOWN = [
  ...['../../etc/passwd', '..', '.', '/etc/passwd', 'a/../../b', 'a//b', '....//....//x', '~root/x', '--'],
  ...['x'.repeat(5000), `${'y'.repeat(200)}/${'z'.repeat(200)}`, 'CON', 'aux.json', 'C:\\windows\\system32'],
  ...['$(touch pwned)', '`touch pwned`; touch pwned', 'line\nend', 'tab\tand\u001b[31mcolour', '%2e%2e%2f'],
  ...['\u202egnp.exe', '__proto__'],
].flatMap((name): [string, string][] => [
  [name, 'gpt-4o-mini'],
  ['data.jsonl', name],
]);

it('makes one folder of any names, in its parent and nowhere else', () => {
  const tally = new Tally('fuzz: names of datasets and annotators');
  const parent = temporaryFolder();
  const runs = cases(300, 10_000);
  fc.assert(
    fc.property(text, text, (dataset, annotator) => {
      const name = runName(dataset, annotator);
      expect(name).not.toMatch(MISLEADING);
      expect(name.isWellFormed()).toBe(true);
      expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
      expect(runName(dataset, annotator)).toBe(name);
      const { save } = runFolder(parent, parent, name);
      expect(relative(parent, resolve(save))).toBe(name);
      expect(['', '.', '..']).not.toContain(name);
    }),
    { numRuns: runs, examples: KNOWN },
  );
  const last = runName('..', '..');
  writeFileSync(join(parent, last), '');
  expect(readdirSync(parent)).toEqual([last]);
  tally.survived(runs);
});

it('reads back any value that it wrote to config.yaml', async () => {
  const tally = new Tally('fuzz: values in config.yaml');
  const path = join(temporaryFolder(), 'config.yaml');
  const runs = cases(150, 10_000);
  const value = fc.oneof(
    text.map((one) => one.toWellFormed()),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.jsonValue(),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(
        text.map((one) => one.toWellFormed()),
        value,
        { maxKeys: 4 },
      ),
      async (params) => {
        const written: ConfigFile = { uuid: 'u', creation_date: '2026_01_31-12_00_00', params };
        await writeConfig(path, written);
        const read = await readConfig(path, new Date());
        // YAML, like JSON, knows one zero.
        expect(JSON.stringify(read.params)).toBe(JSON.stringify(params));
        expect(read.uuid).toBe('u');
      },
    ),
    { numRuns: runs },
  );
  tally.survived(runs);
});
