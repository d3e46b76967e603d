import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { runCli, simulator, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson, writeJsonl } from '../support/data.js';

const file = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** The blocks of commands in a page, in order. */
function blocksOf(page: string): string[] {
  return [...readFileSync(file(page), 'utf8').matchAll(/^```sh\n([^]*?)^```$/gm)].map(
    ([, text]) => text ?? '',
  );
}

/** Blocks that CI runs by themselves. */
const RUN_ELSEWHERE = /^npm ci && npm (?:test|run demo)\n$/;

/** Pages for contributors, whose commands take minutes or an hour. */
const RUN_BY_HAND = new Set(['docs/performance.md', 'docs/reliability.md']);

/** What cannot be reached from a test, and what the test runs instead. */
function rewrite(block: string, url: string, port: number): string {
  return (
    block
      .replace(/^export (?:OPENAI_API_KEY|HF_TOKEN)=….*$/gm, '')
      // "In another terminal" is in the background here.
      .replace(/^(npx reannotate simulate [^]*?[^\\])\n/gm, (_, command: string) =>
        [
          `${command} &`,
          'SIMULATOR=$!',
          "trap 'kill $SIMULATOR' EXIT",
          'until (: > /dev/tcp/127.0.0.1/8088) 2> /dev/null; do sleep 0.1; done\n',
        ].join('\n'),
      )
      .replaceAll('8088', String(port))
      .replaceAll('http://localhost:8000/v1', `${url}/v1`)
      .replace(/'https:\/\/NAME\.openai\.azure\.com[^']*'/, `${url}/v1`)
      .replaceAll(
        /--annotator (?:groq|deepseek)\/\S+/g,
        (flag) => `${flag} --base_url ${url}/v1 --api_key_env OPENAI_API_KEY`,
      )
      // Tests run at any hour.
      .replaceAll(/--off_peak(?= |$)(?! \d)/gm, '--off_peak 00:00-24:00')
      .replaceAll('AZURE_OPENAI_API_KEY', 'OPENAI_API_KEY')
      .replaceAll('batch_a,batch_b', '$(sed -n "s/.*--batch_ids \\([^ ]*\\).*/\\1/p" batch.out)')
      .replaceAll(/^(npx reannotate .*--batch)$/gm, '$1 | tee batch.out')
      .replaceAll(/^(npx watch-batch .*)$/gm, '$1 --check_interval 0.1')
  );
}

/** `vllm run-batch -i IN -o OUT …`, with the same answer to every request. */
const FAKE_VLLM = `#!${process.execPath}
const { readFileSync, writeFileSync } = require('node:fs');
const [, input, , output] = process.argv.slice(3);
const lines = readFileSync(input, 'utf8').trim().split('\\n').map((line) => {
  const { custom_id, body } = JSON.parse(line);
  const message = { role: 'assistant', content: 'An answer.' };
  const usage = { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 };
  const completion = { model: body.model, choices: [{ index: 0, message, finish_reason: 'stop' }], usage };
  return JSON.stringify({ custom_id, response: { status_code: 200, body: completion }, error: null });
});
writeFileSync(output, lines.join('\\n') + '\\n');
`;

/**
 * `npx` without a package manager. It has the built program run in a warm process of this test (see `serveRuns`), but for
 * what reads standard input or is ended by a signal.
 */
const fakeNpx = (port: number): string => `#!/bin/bash
case " $* " in
  " reannotate simulate "*|*" - "*) shift; exec ${process.execPath} ${file('dist/cli.js')} "$@";;
esac
exec 3<>/dev/tcp/127.0.0.1/${port}
{ printf '%s\\0' "$PWD" "$#" "$@"; env -0; printf '\\0'; } >&3
read -r code written <&3
cat "$written/stdout"
cat "$written/stderr" >&2
exit "$code"
`;

/** The folder of commands that the pages use. */
function commandsIn(folder: string, port: number): string {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  for (const [name, script] of Object.entries({ npx: fakeNpx(port), vllm: FAKE_VLLM })) {
    writeFileSync(join(bin, name), script);
    chmodSync(join(bin, name), 0o755);
  }
  return bin;
}

/** Runs what `fakeNpx` sends: its folder, the number of its words, the words, the environment. */
async function serveRuns(): Promise<number> {
  const server = createServer((socket) => {
    let text = '';
    socket.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (text.endsWith('\0\0')) void runOrder(text.split('\0')).then((answer) => socket.end(answer));
    });
  }).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.close();
  });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** @returns the exit code, and the folder that holds what was printed */
async function runOrder([cwd = '', count = '', ...rest]: string[]): Promise<string> {
  const [program, ...args] = rest.slice(0, Number(count));
  const variables = rest.slice(Number(count)).filter((text) => text.includes('='));
  const env = Object.fromEntries(variables.map((text) => text.split(/=(.*)/s, 2) as [string, string]));
  if (program !== 'reannotate' && program !== 'watch-batch') throw new Error(`no ${program ?? ''}`);
  const { code, stdout, stderr } = await runCli(args, { program, env, cwd });
  const written = temporaryFolder();
  writeFileSync(join(written, 'stdout'), stdout);
  writeFileSync(join(written, 'stderr'), stderr);
  return `${code ?? 1} ${written}\n`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Pages with commands that a reader is meant to type. */
const PAGES = [
  'README.md',
  'docs/batches.md',
  'docs/clusters.md',
  'docs/compare.md',
  'docs/costs.md',
  'docs/datasets.md',
  'docs/hub.md',
  'docs/judge.md',
  'docs/models.md',
  'docs/report.md',
  'docs/results.md',
  'docs/simulator.md',
  'docs/training.md',
];

/** A home with what the pages take for granted: the bundled examples, and files of the reader's own. */
function freshHome(): string {
  const home = temporaryFolder();
  mkdirSync(join(home, 'datasets'));
  symlinkSync(file('datasets/examples'), join(home, 'datasets', 'examples'));
  writeJsonl(home, 'answers.jsonl', alpacaRows(3));
  const turns = ['Hello?', 'Hello.', 'What is 6 × 7?', '42'];
  const messages = turns.map((content, turn) => ({ role: turn % 2 === 0 ? 'user' : 'assistant', content }));
  writeJsonl(home, 'chats.jsonl', [{ messages }]);
  writeFileSync(join(home, 'tickets.csv'), 'body,reply,agent\nhelp,yes,Kim\n');
  return home;
}

async function runInShell(
  script: string,
  home: string,
  url: string,
): Promise<{ code: unknown; output: string }> {
  const shell = spawn('bash', ['-vc', script], {
    cwd: home,
    env: {
      PATH: `${commandsIn(home, await serveRuns())}:${process.env['PATH'] ?? ''}`,
      HOME: home,
      OPENAI_API_KEY: 'sk-test-key-0001',
      OPENAI_BASE_URL: `${url}/v1`,
      HF_DATASETS_SERVER_URL: url,
      HF_ENDPOINT: url,
      HF_TOKEN: 'hf_simulator',
    },
  });
  let output = '';
  shell.stdout.on('data', (text) => (output += String(text)));
  shell.stderr.on('data', (text) => (output += String(text)));
  const code = await new Promise((resolve) => shell.on('close', resolve));
  return { code, output };
}

it.each(PAGES)('the commands of %s run in their printed order, from a fresh home', async (page) => {
  const rows = alpacaRows(110).map(({ instruction, output }) => ({
    question: instruction,
    answer: output,
  }));
  const { url } = await simulator({
    datasets: { 'glaiveai/glaive-code-assistant': writeJson(temporaryFolder(), 'glaive.json', rows) },
    batchDurationMs: 50,
  });
  const home = freshHome();
  const port = await freePort();
  const blocks = blocksOf(page).filter((block) => !RUN_ELSEWHERE.test(block));
  expect(blocks.length).toBeGreaterThan(0);
  const script = ['set -euo pipefail', ...blocks.map((block) => rewrite(block, url, port))].join('\n');
  const { code, output } = await runInShell(script, home, url);
  expect(code, output.slice(-4000)).toBe(0);
});

it('every page with commands is run', () => {
  const pages = readdirSync(file('docs')).filter((name) => name.endsWith('.md'));
  const withCommands = pages.map((name) => `docs/${name}`).filter((page) => blocksOf(page).length > 0);
  const elsewhere = withCommands.filter((page) => !PAGES.includes(page) && !RUN_BY_HAND.has(page));
  expect(elsewhere).toEqual([]);
});
