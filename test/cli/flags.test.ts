import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { COMMANDS, type CommandName } from '../../src/cli/commands.js';
import { helpOf } from '../../src/cli/flags/help.js';
import { commandLineLayer, mergeLayers, parseFlags, type RawFlags } from '../../src/cli/flags/parse.js';
import { flagsOf } from '../../src/cli/flags/table.js';
import { GENERATION_NAMES } from '../../src/models/generation.js';
import { effectiveParameters } from '../../src/run/config.js';
import { identityFlags } from '../../src/run/identity.js';
import { settingsFor, watchSettingsFor } from '../support/settings.js';

const parse = (command: CommandName, flags: RawFlags): ReturnType<typeof parseFlags<'reannotate'>> =>
  parseFlags(command as 'reannotate', mergeLayers(command, [commandLineLayer(flags)]));

/** What reads the values of flags. */
const READERS = ['src/cli', 'src/commands']
  .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
  .filter((path) => path.endsWith('.ts'))
  .map((path) => readFileSync(path, 'utf8'))
  .join('\n');

describe.each(COMMANDS)('the flags of %s', (command) => {
  const flags = flagsOf(command);

  it('have names in snake_case, short names and aliases that no other flag has', () => {
    const names = flags.map(({ name }) => name);
    const letters = flags.flatMap(({ short }) => short ?? []);
    const aliases = flags.flatMap((flag) => flag.aliases ?? []);
    for (const name of [...names, ...aliases]) expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
    expect(new Set(names).size).toBe(names.length);
    expect(new Set(letters).size).toBe(letters.length);
    expect(aliases.filter((alias, index) => aliases.indexOf(alias) !== index)).toEqual([]);
  });

  it('are all read: a flag that changes nothing is worse than none', () => {
    const isRead = ({ name }: { name: string }): boolean =>
      (GENERATION_NAMES as readonly string[]).includes(name) || new RegExp(`\\b${name}\\b`).test(READERS);
    expect(flags.filter((flag) => !isRead(flag)).map(({ name }) => name)).toEqual([]);
  });

  it('have one line of help each, which does not repeat the default', () => {
    for (const flag of flags) {
      expect(helpOf(flag)).not.toContain('\n');
      expect(helpOf(flag).match(/\(default: /g)?.length ?? 0).toBeLessThanOrEqual(1);
      expect(flag.help).not.toMatch(/\.$/);
    }
  });

  it('give their defaults where nothing is given', () => {
    const { values, given } = parse(command, {});
    expect(given.size).toBe(0);
    for (const { name, fallback } of flags) expect(values).toHaveProperty(name, fallback);
  });

  it('take no empty value, and any text without failing in another way than with a sentence', () => {
    for (const { name, kind } of flags.filter(({ kind: { argument } }) => argument !== '')) {
      expect(() => parse(command, { [name]: '' })).toThrow(`--${name} is empty.`);
      fc.assert(
        fc.property(fc.string({ minLength: 1 }), (text) => {
          try {
            kind.read(text, `--${name}`);
          } catch (error) {
            expect(error).toMatchObject({ exitCode: 2 });
          }
        }),
        { numRuns: 20 },
      );
    }
  });
});

it('every flag of a run is in its config.yaml', () => {
  const recorded = Object.keys(effectiveParameters(settingsFor({ dataset: 'd.jsonl' }), null));
  const names = flagsOf('reannotate').map(({ name }) => name);
  expect(names.filter((name) => !recorded.includes(name))).toEqual([]);
});

it('every flag that decides which requests are sent is compared when a run is resumed', () => {
  const compared = Object.keys(identityFlags(settingsFor({ dataset: 'd.jsonl' })));
  const identity = flagsOf('reannotate').flatMap(({ name, isIdentity }) => (isIdentity === true ? name : []));
  expect(identity.toSorted()).toEqual(compared.filter((name) => name !== 'model').toSorted());
});

it('a plan takes no flag of what happens when one command ends: workers would ignore it', () => {
  const planned = flagsOf('plan');
  const ofBatches = planned.filter(({ group }) => group === 'batches').map(({ name }) => name);
  expect(ofBatches).toEqual(['batch', 'max_batch_size', 'max_batch_bytes']);
  expect(planned.map(({ name }) => name)).not.toContain('notify');
});

it('every parameter of a generation is a flag', () => {
  const names = flagsOf('reannotate').map(({ name }) => name);
  expect(GENERATION_NAMES.filter((name) => !names.includes(name))).toEqual([]);
});

describe('what excludes each other', () => {
  it.each<[CommandName, RawFlags, string]>([
    ['reannotate', { resume: true, overwrite: true }, '--resume and --overwrite cannot be combined'],
    ['watch-batch', { batch_ids: 'a', recover: true }, '--batch_ids and --recover cannot be combined'],
    [
      'watch-batch',
      { retry_failed: true, finish_online: true },
      '--retry_failed and --finish_online cannot be combined',
    ],
  ])('%s with %o', (command, flags, message) => {
    expect(() => parse(command, flags)).toThrow(message);
  });

  it('is settled by the first layer that has one of them', () => {
    const layer = mergeLayers('reannotate', [
      commandLineLayer({ resume: true }),
      new Map([
        ['overwrite', { value: 'true', source: 'REANNOTATE_OVERWRITE' }],
        ['limit', { value: '5', source: 'REANNOTATE_LIMIT' }],
      ]),
    ]);
    expect([...layer.keys()].sort()).toEqual(['limit', 'resume']);
  });
});

describe('watch-batch', () => {
  const watch = (flags: RawFlags): ReturnType<typeof watchSettingsFor> =>
    watchSettingsFor({ dataset: 'd.jsonl', annotator: 'gpt-4o-mini', ...flags });

  it('polls every minute, and never without a pause', () => {
    expect(watch({}).checkInterval).toBe(60_000);
    expect(watch({ check_interval: '0' }).checkInterval).toBe(20);
  });

  it('takes ids separated by commas or spaces, and repeated flags', () => {
    expect(watch({ batch_ids: 'batch_a, batch_b batch_a' }).batchIds).toEqual(['batch_a', 'batch_b']);
    expect(watch({}).batchIds).toBeNull();
  });

  it.each<[RawFlags, RegExp]>([
    [{ retry: 'failed' }, /--retry requires --retry_failed or --finish_online/],
    [{ cancel: true, retry_failed: true }, /--cancel and --retry_failed cannot be combined/],
    [{ service_tier: 'flex' }, /requires --finish_online/],
    [{ service_tier: 'slow', finish_online: true }, /--service_tier takes flex, not slow/],
    [{ service_tier: 'flex', finish_online: true }, /gpt-4o-mini has no flex tier/],
    [{ private: true }, /--private requires --push_to_hub/],
    [{ batch_ids: ',' }, /--batch_ids takes ids such as/],
  ])('refuses %o', (flags, message) => {
    expect(() => watch(flags)).toThrow(message);
  });

  it('does not prompt if --yes is given with --cancel alone', () => {
    expect(watch({ cancel: true, yes: true })).toMatchObject({ yes: true, run: { push: null } });
  });
});
