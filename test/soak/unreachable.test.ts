import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { it, onTestFinished, vi } from 'vitest';
import { foldersIn, pointingAt, resultsIn, runCli, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { scriptedApi } from '../support/scripted-api.js';
import { cases, Tally } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const ROWS = 30;
const PRELOAD = fileURLToPath(new URL('../support/dns-preload.js', import.meta.url));

it('continues once DNS lookups work again', async () => {
  const tally = new Tally('network: DNS that fails and returns');
  const plans = Array.from({ length: cases(1, 16) }, (_, number) => ({
    from: number % 3 === 0 ? 0 : 300 + number * 40,
    lasts: 1500 + number * 150,
    code: number % 2 === 0 ? 'ENOTFOUND' : 'EAI_AGAIN',
  }));
  await tally.play(
    plans,
    ({ from, lasts, code }) => `${code} from ${from} ms on for ${lasts} ms`,
    async ({ from, lasts, code }) => {
      const folder = temporaryFolder();
      const data = writeJson(folder, 'data.json', alpacaRows(ROWS));
      // Each answer's connection is closed, so that every request has to look the name up.
      const api = await scriptedApi(async ({ prompt }) => {
        await new Promise((resolve) => setTimeout(resolve, 60));
        const message = { role: 'assistant', content: `answer to ${prompt}` };
        return {
          headers: { connection: 'close' },
          body: { model: 'm', choices: [{ index: 0, message, finish_reason: 'stop' }] },
        };
      });
      const port = new URL(api.url).port;
      const args = ['--dataset', data, '--max_concurrency', '2', ...foldersIn(folder)];
      const env = {
        ...pointingAt({ url: `http://api.test:${port}` }),
        NODE_OPTIONS: `--import ${PRELOAD}`,
        DNS_FROM: String(from),
        DNS_UNTIL: String(from + lasts),
        DNS_CODE: code,
      };
      let run = await runCli(args, { env });
      // A name that is unknown at the start is reported immediately: it is more likely misspelled.
      if (run.code === 75 && /\n\s+at |unexpected/.test(run.stderr)) throw new Error(run.stderr);
      if (run.code === 75 && from === 0)
        run = await runCli([...args, '--resume'], { env: { ...env, DNS_UNTIL: '0' } });
      if (run.code !== 0) throw new Error(run.stderr);
      const rows = resultsIn(folder).rows();
      return {
        lost: rows.filter(({ annotation }) => annotation === null).length,
        paidTwice: api.requests.length - ROWS,
      };
    },
    4,
  );
  tally.expectAll();
});

it('reports in a sentence servers that speak no TLS or no HTTP', async () => {
  const tally = new Tally('network: TLS errors, and what is no HTTP server');
  const greet = async (greeting: string | null): Promise<string> => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => {
        if (greeting === null) socket.destroy();
        else socket.end(greeting);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.close();
    });
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  await tally.play(
    [
      { scheme: 'https', greeting: 'HTTP/1.1 400 Bad Request\r\n\r\n' },
      { scheme: 'https', greeting: null },
      { scheme: 'http', greeting: '220 mail ready\r\n' },
      { scheme: 'http', greeting: '\u0000\u0001\u0002\u001b[31m' },
      { scheme: 'http', greeting: null },
    ],
    ({ scheme, greeting }) => `${scheme}, ${JSON.stringify(greeting)}`,
    async ({ scheme, greeting }) => {
      const folder = temporaryFolder();
      const data = writeJson(folder, 'data.json', alpacaRows(3));
      const url = `${scheme}://${await greet(greeting)}`;
      const args = ['--dataset', data, '--max_attempts', '2', ...foldersIn(folder)];
      const run = await runCli(args, { env: pointingAt({ url }) });
      const last = run.stderr.trimEnd().split('\n').at(-1) ?? '';
      if (
        ![1, 75].includes(run.code ?? -1) ||
        !/^error: .{20,}/.test(last) ||
        /\n\s+at |unexpected|\u001b/.test(run.stderr)
      )
        throw new Error(run.stderr);
      return {};
    },
    5,
  );
  tally.expectAll();
});
