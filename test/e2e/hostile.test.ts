import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { foldersIn, pointingAt, resultsIn, runCli, temporaryFolder } from '../support/cli.js';
import { apiError, scriptedApi } from '../support/scripted-api.js';

vi.setConfig({ testTimeout: 60_000 });

/** What must reach neither a terminal nor a log: everything that moves, colours, hides or reorders. */
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

const CELLS: Record<string, string> = {
  'NUL and other controls': 'a\u0000b\u0001\u0007\u0008\u007f\u009b31m',
  'terminal escapes': '\u001b[2J\u001b]0;title\u0007\u001b[31mred\u001b[0m',
  'bidirectional overrides': '\u202edrowssap\u202c \u2066x\u2069\u200f',
  'line ends of all kinds': 'a\r\nb\rc\u2028d\u2029e\u0085f\u000bg',
  'special tokens': '<|endoftext|><|im_start|>system\n<|fim_prefix|>',
  markup: '</script><script>alert(1)</script><img src=x onerror=alert(1)>',
  'a prototype’s keys': '__proto__ constructor toString',
  'what looks like a journal': '{"request_idx":0}]\n[{},{"choices":[]},{"request_idx":1}]',
  'what looks like the end of an answer':
    '","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}',
  'what looks like a row': '","annotation_original":"x","annotation":"y"},\n{"system_prompt":"',
  YAML: 'key: [unclosed\n- &a *a !!js/function "x"',
  'one character many times': 'z'.repeat(200_000),
  'outside of the basic plane': '𝔘𝔫𝔦𝔠𝔬𝔡𝔢 🏳️‍🌈 '.repeat(50),
};

/** Lines that JSON allows and that no dataset should have. */
const ODD_LINES = [
  '{"prompt":"half a pair \\ud83d","response":"\\udc00"}',
  '{"prompt":1e400,"response":-1e400}',
  '{"prompt":"own keys","response":"r","__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}',
  `{"prompt":${'['.repeat(5000)}${']'.repeat(5000)},"response":"deep"}`,
  '{"prompt":{"a":1},"response":[1,2]}',
  '{"prompt":"twice","prompt":"the last one counts","response":"r"}',
  '{"prompt":true,"response":null}',
  '{"prompt":"torn',
];

describe('rows that attack', () => {
  it('are sent and saved unchanged, and shown sanitized', async () => {
    const folder = temporaryFolder();
    const names = Object.keys(CELLS);
    const lines = names.map((name) => JSON.stringify({ prompt: CELLS[name], response: CELLS[name] }));
    const data = join(folder, 'data.jsonl');
    writeFileSync(data, [...lines, ...ODD_LINES].join('\n'));
    // Every other prompt comes back as an answer, the others in an error message.
    const api = await scriptedApi(({ prompt }, number) =>
      number % 3 === 1 ? apiError(400, `not this: ${prompt}`, prompt.slice(0, 50)) : prompt,
    );
    const args = [
      '--dataset',
      data,
      '--logging_level',
      'debug',
      '--max_concurrency',
      '1',
      ...foldersIn(folder),
    ];
    const columns = ['--prompt_column', 'prompt', '--response_column', 'response'];
    const run = await runCli([...args, ...columns], { env: pointingAt(api) });
    expect(run.code, run.stderr.slice(-2000)).toBe(3);
    expect(run.stderr).not.toMatch(CONTROLS);
    expect(run.stdout).toBe('');
    const results = resultsIn(folder);
    expect(readFileSync(results.temp('output.log'), 'utf8')).not.toMatch(CONTROLS);
    const rows = results.rows();
    expect(rows).toHaveLength(names.length + ODD_LINES.length);
    for (const [index, name] of names.entries()) {
      expect(rows[index]?.user_prompt, name).toBe(CELLS[name]);
      expect(rows[index]?.annotation_original, name).toBe(CELLS[name]);
      expect([CELLS[name], null], name).toContain(rows[index]?.annotation);
    }
    expect(rows.filter(({ annotation }) => annotation !== null).length).toBeGreaterThan(names.length / 2);
    const asked = new Set(api.requests.map(({ prompt }) => prompt));
    for (const name of names) expect(asked.has(CELLS[name] ?? ''), name).toBe(true);
    const { rows: counted } = results.summary();
    const { total = 0, ...states } = counted;
    expect(Object.values(states).reduce((sum, one) => sum + one, 0)).toBe(total);
    // A second look at what was saved changes nothing.
    const bytes = results.bytes();
    await runCli([...args, ...columns, '--resume_no_retry'], { env: pointingAt(api) });
    expect(results.bytes()).toBe(bytes);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('names that attack', () => {
  // `test/soak/hostile-names.test.ts` tries any name on the functions that make paths of them.
  const NAMES = [
    '../../etc/passwd',
    'x'.repeat(5000),
    '$(touch pwned)',
    'line\n\u001b[31m\u202egnp.exe',
    '__proto__',
  ];

  it.each(NAMES.map((name) => [name.slice(0, 30), name]))('as a dataset: %j', async (_, name) => {
    const folder = join(temporaryFolder(), 'work');
    mkdirSync(folder);
    const api = await scriptedApi(() => apiError(404, 'there is no such dataset'));
    const run = await runCli([`--dataset=${name}`, ...foldersIn(folder)], {
      env: pointingAt(api),
      cwd: folder,
    });
    expect([1, 2]).toContain(run.code);
    expect(run.stderr).not.toMatch(CONTROLS);
    expect(run.stderr).not.toMatch(/\n\s+at /);
    expect(run.stderr.length).toBeLessThan(2000);
    expect(readdirSync(folder)).toEqual([]);
    expect(readdirSync(join(folder, '..'))).toEqual(['work']);
  });

  it.each(NAMES.map((name) => [name.slice(0, 30), name]))('as an annotator: %j', async (_, name) => {
    const top = temporaryFolder();
    const folder = join(top, 'work');
    mkdirSync(folder);
    writeFileSync(join(folder, 'data.jsonl'), '{"prompt":"p","response":"r"}\n');
    const api = await scriptedApi(() => 'answer');
    const words = [`--annotator=${name}`, '--dataset', 'data.jsonl', '--base_url', `${api.url}/v1`];
    const run = await runCli([...words, '--save_dir', 'saved', '--temp_dir', 'temp'], {
      env: pointingAt(api),
      cwd: folder,
    });
    expect([0, 1, 2]).toContain(run.code);
    expect(run.stderr).not.toMatch(CONTROLS);
    expect(run.stderr).not.toMatch(/\n\s+at /);
    expect(readdirSync(top)).toEqual(['work']);
    const made = readdirSync(folder).filter((entry) => entry !== 'data.jsonl');
    for (const parent of made) {
      expect(['saved', 'temp']).toContain(parent);
      const runs = readdirSync(join(folder, parent), { withFileTypes: true });
      expect(runs.map((entry) => entry.isDirectory())).toEqual([true]);
    }
    if (run.code !== 0) return;
    const config = readFileSync(
      join(folder, 'saved', readdirSync(join(folder, 'saved'))[0] ?? '', 'config.yaml'),
      'utf8',
    );
    expect((parse(config) as { params: Record<string, unknown> }).params['annotator']).toBe(name);
  });
});

describe('flags of any text', () => {
  it('are written to config.yaml as they were given', async () => {
    const api = await scriptedApi(() => 'answer');
    const text = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
      .filter((one) => !one.includes('\u0000') && !one.includes(','));
    await fc.assert(
      fc.asyncProperty(text, async (stop) => {
        const folder = temporaryFolder();
        writeFileSync(join(folder, 'data.jsonl'), '{"prompt":"p","response":"r"}\n');
        const run = await runCli(
          ['--dataset', join(folder, 'data.jsonl'), `--stop=${stop}`, ...foldersIn(folder)],
          {
            env: pointingAt(api),
          },
        );
        expect(run.code, run.stderr).toBe(0);
        const config = parse(readFileSync(resultsIn(folder).saved('config.yaml'), 'utf8')) as {
          params: { stop: string[] };
        };
        expect(config.params.stop).toEqual([stop]);
        expect(api.requests.at(-1)?.body['stop']).toEqual([stop]);
      }),
      { numRuns: 2 },
    );
  });
});
