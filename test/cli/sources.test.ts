import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { COMMANDS, type CommandName } from '../../src/cli/commands.js';
import { gatherFlags, type Gathered } from '../../src/cli/flags/gather.js';
import type { RawFlags } from '../../src/cli/flags/parse.js';
import { refuseTypedKeys } from '../../src/cli/flags/refuse-keys.js';
import { flagsOf } from '../../src/cli/flags/table.js';
import { variableOf } from '../../src/cli/flags/variables.js';
import { runSettings } from '../../src/cli/run-settings.js';
import { shownBaseUrl } from '../../src/models/endpoint.js';
import { effectiveParameters } from '../../src/run/config.js';
import type { RunSettings } from '../../src/run/settings.js';
import { Redactor } from '../../src/secrets/redactor.js';
import { settingsFor } from '../support/settings.js';

function fileWith(content: string, name = 'flags.yaml'): string {
  const folder = mkdtempSync(join(tmpdir(), 'reannotate-'));
  onTestFinished(() => {
    rmSync(folder, { recursive: true });
  });
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function gather(
  flags: RawFlags,
  variables: NodeJS.ProcessEnv = {},
  command: CommandName = 'reannotate',
): Promise<Gathered<'reannotate'>> {
  return gatherFlags(command as 'reannotate', flags, { variables, redactor: new Redactor() });
}

describe('a key in the wrong place is refused, and not repeated', () => {
  const KEY = 'sk-Ab3_dE5gH7jK9/mN';
  const variables = { OPENAI_API_KEY: KEY };
  const redactor = (): Redactor => new Redactor([{ value: KEY, source: 'OPENAI_API_KEY' }]);
  const sentence = (where: string): RegExp =>
    new RegExp(`^${where} contains the value of OPENAI_API_KEY, which would be recorded`);
  const messageFrom = async (work: () => unknown): Promise<string> => {
    try {
      await work();
    } catch (error) {
      return (error as Error).message;
    }
    return 'no error';
  };

  it.each<[string, string]>([
    ['annotator', `openai/${KEY}`],
    ['fallback_annotator', KEY],
    ['extra_body', JSON.stringify({ api_key: KEY })],
    ['prompt_template', `{prompt} ${Buffer.from(KEY).toString('base64')}`],
    ['system_prompt', encodeURIComponent(KEY)],
    ['stop', `a,${KEY}`],
    ['run_name', KEY],
    ['save_dir', `/tmp/${KEY}`],
    ['dataset', `${KEY}/data.jsonl`],
    ['limit', KEY],
    ['logit_bias', KEY],
    ['push_to_hub', `me/${KEY}`],
  ])('as --%s', async (name, value) => {
    expect(await messageFrom(() => gather({ [name]: value }, variables))).toMatch(sentence(`--${name}`));
  });

  it('from a variable, a config and a file that a flag reads', async () => {
    const set = { ...variables, REANNOTATE_STOP: KEY };
    expect(await messageFrom(() => gather({}, set))).toMatch(sentence('REANNOTATE_STOP'));
    const config = fileWith(stringify({ system_prompt: `use ${KEY}` }));
    expect(await messageFrom(() => gather({ config }, variables))).toMatch(/^system_prompt in .* contains/);
    const file = fileWith(`use ${KEY}`, 'prompt.txt');
    const parsed = await gather({ dataset: 'd.jsonl', system_prompt: `@${file}` }, variables);
    const reading = (): unknown => runSettings(parsed, { variables, redactor: new Redactor() });
    expect(await messageFrom(reading)).toMatch(sentence('--system_prompt'));
  });

  it.each<[string[], string]>([
    [['--limit', KEY], '--limit'],
    [[`--limit=${KEY}`], '--limit'],
    [['--anotator', KEY], '--anotator'],
    [[`--${KEY}`], 'The command line'],
    [[KEY], 'The command line'],
    [['report', `s/${KEY}`], 'The command line'],
  ])('in the words %j', async (words, where) => {
    const message = await messageFrom(() => {
      refuseTypedKeys(words, redactor());
    });
    expect(message).toMatch(sentence(where));
    expect(redactor().text(message)).toBe(message);
  });

  it('but not in an address or a command, which are recorded without it', async () => {
    const words = ['--base_url', `https://host/v1?key=${KEY}`, `--notify=curl -H ${KEY} https://host`];
    const data = ['--dataset', `s3://name:${KEY}@host/data.jsonl`];
    refuseTypedKeys([...words, '--api_key_env', 'OPENAI_API_KEY', ...data], redactor());
    const { values } = await gather(
      { base_url: `https://host/v1?key=${KEY}`, notify: `curl ${KEY}` },
      variables,
    );
    expect(values.notify).toBe(`curl ${KEY}`);
  });
});

describe('environment variables', () => {
  it('set any flag, and the command line wins', async () => {
    const variables = {
      REANNOTATE_DATASET: 'd.jsonl',
      REANNOTATE_LIMIT: '5',
      REANNOTATE_DRY_RUN: '1',
      REANNOTATE_INCLUDE_METADATA: 'false',
      REANNOTATE_TEMPERATURE: 'none',
      REANNOTATE_SPLIT: ' ',
    };
    const { values, given, warnings } = await gather({ limit: '7' }, variables);
    expect(values).toMatchObject({
      ...{ dataset: 'd.jsonl', limit: 7, dry_run: true, include_metadata: false, split: null },
    });
    expect(values.temperature).toBeNull();
    expect(given.has('temperature')).toBe(true);
    expect(warnings).toEqual([]);
  });

  it('are named in messages', async () => {
    await expect(gather({}, { REANNOTATE_LIMIT: 'many' })).rejects.toThrow(
      'REANNOTATE_LIMIT takes a whole number of at least 1, not many.',
    );
    await expect(gather({}, { REANNOTATE_RESUME: 'maybe' })).rejects.toThrow(
      'REANNOTATE_RESUME takes true or false',
    );
  });

  it('that match no flag cause a warning', async () => {
    const variables = { REANNOTATE_MAX_COTS: '5', REANNOTATE_RPM: '5', REANNOTATE_DEBUG: '1', OTHER: 'x' };
    expect((await gather({}, variables)).warnings).toEqual([
      expect.stringMatching(/REANNOTATE_MAX_COTS was ignored.*Did you mean REANNOTATE_MAX_COST\?/),
      expect.stringMatching(/REANNOTATE_RPM was ignored.*REANNOTATE_MAX_REQUESTS_PER_MINUTE\?/),
    ]);
  });

  it('mean one flag each', () => {
    const meanings = new Map<string, unknown>();
    for (const command of COMMANDS) {
      for (const { name, kind, ...flag } of flagsOf(command)) {
        const variable = variableOf(command, name);
        const meaning = meanings.get(variable) ?? kind.read;
        expect(kind.read, `${variable} of ${command} (${flag.help})`).toBe(meaning);
        meanings.set(variable, meaning);
      }
    }
    expect(variableOf('judge', 'seed')).toBe('REANNOTATE_JUDGE_SEED');
    expect(variableOf('watch-batch', 'check_interval')).toBe('REANNOTATE_CHECK_INTERVAL');
  });
});

describe('--env_file', () => {
  it('adds variables, and those that are set win', async () => {
    const path = fileWith(
      '# keys\nOPENAI_API_KEY="sk-from-a-file"\nREANNOTATE_LIMIT=3\nHF_TOKEN=b\n',
      '.env',
    );
    const variables: NodeJS.ProcessEnv = { HF_TOKEN: 'a' };
    const { values } = await gather({ env_file: path }, variables);
    expect(values.limit).toBe(3);
    expect(variables).toMatchObject({ OPENAI_API_KEY: 'sk-from-a-file', HF_TOKEN: 'a' });
  });

  it('is not quoted in messages', async () => {
    const redactor = new Redactor();
    const path = fileWith('OPENAI_API_KEY=sk-abcdefghijklmnop1234\n', '.env');
    await gatherFlags('reannotate', { env_file: path }, { variables: {}, redactor });
    expect(redactor.text('sent sk-abcdefghijklmnop1234')).not.toContain('abcdefgh');
  });

  it('must exist', async () => {
    await expect(gather({ env_file: '/nowhere/.env' })).rejects.toThrow(
      /--env_file \/nowhere\/.env cannot be read: there is no such file/,
    );
  });
});

describe('--config', () => {
  it('gives flags in either spelling; the environment and the command line win', async () => {
    const path = fileWith(
      stringify({ dataset: 'd.jsonl', 'max-tokens': 512, temperature: 0.2, limit: 1, stop: ['\n', 'END'] }),
    );
    const { values } = await gather({ config: path, limit: '3' }, { REANNOTATE_TEMPERATURE: '0.5' });
    expect(values).toMatchObject({ dataset: 'd.jsonl', max_tokens: 512, temperature: 0.5, limit: 3 });
    expect(values.stop).toEqual(['\n', 'END']);
  });

  it('takes null for none, objects for JSON, and switches', async () => {
    const path = fileWith(
      'seed: null\nsplit: null\nextra_body: {top_k: 5}\nlogit_bias: {"50256": -100}\nbatch: true\nresume: false\n' +
        'response_format: {type: json_object}\nlogprobs: true\noutput_format: [jsonl, dpo]\nreasoning_effort: none\n',
    );
    const { values, given } = await gather({ config: path });
    expect(values).toMatchObject({
      ...{ seed: null, split: null, extra_body: { top_k: 5 }, logit_bias: { '50256': -100 } },
      ...{ batch: true, resume: false, response_format: { type: 'json_object' }, logprobs: true },
      ...{ output_format: ['json', 'jsonl', 'dpo'], reasoning_effort: 'none' },
    });
    expect([given.has('seed'), given.has('split')]).toEqual([true, false]);
  });

  it('serves several commands', async () => {
    const path = fileWith('temperature: 1\ncheck_interval: 5\n');
    await expect(gather({ config: path }, {}, 'watch-batch')).resolves.toMatchObject({
      values: { check_interval: 5 },
    });
  });

  it('separates what a name means in different commands', async () => {
    const shared = fileWith('seed: 7\nmax_tokens: 100\njudge_seed: 3\nservice_tier: flex\n');
    const judge = await gatherFlags('judge', { config: shared }, { variables: {}, redactor: new Redactor() });
    expect(judge.values).toMatchObject({ seed: 3, max_tokens: null });
    expect((await gather({ config: shared })).values).toMatchObject({ seed: 7, max_tokens: 100 });
    expect((await gather({ config: shared }, {}, 'watch-batch')).values.service_tier).toBeNull();
  });

  it('tells judge which run to read, and nothing about its model', async () => {
    const params = {
      dataset: 'd',
      annotator: 'm',
      run_name: 'r',
      base_url: 'http://localhost:1',
      max_cost: 5,
    };
    const path = fileWith(stringify({ uuid: 'u', params }));
    const { values } = await gatherFlags(
      'judge',
      { config: path },
      { variables: {}, redactor: new Redactor() },
    );
    expect(values).toMatchObject({
      dataset: 'd',
      annotator: 'm',
      run_name: 'r',
      base_url: null,
      max_cost: null,
    });
  });

  it.each([
    ['limt: 5\n', /there is no flag limt\. Did you mean limit\?/],
    ['limit: many\n', /limit in .*flags\.yaml takes a whole number/],
    ['- a\n', /must hold flags and their values/],
    ['a: [\n', /cannot be read/],
    ['stop: ["a,b"]\n', /a list of texts without commas/],
    ['dataset: ""\n', /dataset in .* is empty/],
    ['resume: true\noverwrite: true\n', /resume in .* and overwrite in .* cannot be combined/],
  ])('%j', async (content, message) => {
    await expect(gather({ config: fileWith(content) })).rejects.toThrow(message);
  });

  it.each<[string, RawFlags, NodeJS.ProcessEnv]>([
    ['defaults', {}, {}],
    [
      'everything',
      {
        ...{ annotator: 'groq/a/b', subset: 's', split: 'test', prompt_column: 'p', system_column: 'none' },
        ...{ limit: '5', offset: '2', encoding: 'latin1', run_name: 'trial', batch: true, retry: 'refused' },
        ...{ max_batch_size: '10', max_requests_per_minute: '1.5', max_attempts: '2', request_timeout: '9' },
        ...{ temperature: '0.3', seed: 'none', max_tokens: '99', stop: 'a,\\n', logit_bias: '{"1": 2}' },
        ...{ logprobs: true, reasoning_effort: 'low', response_format: 'json', extra_body: '{"top_k": 5}' },
        ...{ max_cost: '1', include_metadata: true, reasoning: 'drop', output_format: 'dpo', resume: true },
        ...{ push_to_hub: 'me/x', private: true, accept_finish_reason: 'done,null', logging_level: '30' },
      },
      {},
    ],
    ['without limits', { max_tokens: 'none', annotator: 'xai/grok-4' }, {}],
    ['a server', { annotator: 'm', base_url: 'http://localhost:8000/v1', api_key_env: 'MY_KEY' }, {}],
    ['a server of the environment', {}, { OPENAI_BASE_URL: 'http://localhost:9/v1' }],
  ])('takes the config.yaml of a run: %s', async (_, flags, variables) => {
    const first = settingsFor({ dataset: 'd.jsonl', ...flags }, variables as Record<string, string>);
    const params = effectiveParameters(first, shownBaseUrl(first.call));
    const path = fileWith(stringify({ uuid: 'u', creation_date: 'c', params }), 'config.yaml');
    const parsed = await gather({ config: path });
    const second = runSettings(parsed, { variables, redactor: new Redactor() });
    const comparable = ({ selection, call, output, policy, push }: RunSettings): unknown => {
      const { annotator, generation, limits, acceptFinishReason } = call;
      const { maxCost, batch, maxBatchSize, maxBatchBytes } = policy;
      return [
        ...[selection, output, push, { maxCost, batch, maxBatchSize, maxBatchBytes }],
        { model: annotator.model, generation, limits, acceptFinishReason, url: shownBaseUrl(call) },
      ];
    };
    // What is left open in the flags is settled in the record.
    const settled = {
      ...first,
      output: { ...first.output, reasoning: first.output.reasoning ?? 'separate' },
    };
    expect(comparable(second)).toEqual(comparable(settled));
    expect(second.policy.earlier).toBe('refuse');
  });
});
