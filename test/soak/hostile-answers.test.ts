/** Answers of a server that means it ill, each to a run of two rows. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { it, vi } from 'vitest';
import { foldersIn, temporaryFolder } from '../support/cli.js';
import { hostileRun, hostileServer, pour } from '../support/hostile-run.js';
import { completion } from '../support/scripted-api.js';
import {
  around,
  dripping,
  endless,
  MEGABYTE,
  playHostile,
  poured,
  repeated,
  type Answer,
  type Cases,
} from './hostile.js';

vi.setConfig({ testTimeout: 3_600_000 });

/** Just below what an answer may have: beyond it, nothing is read. */
const SIZE = 15.5 * MEGABYTE;
const JSON_TYPE = { 'content-type': 'application/json' };
const STREAM = { 'content-type': 'text/event-stream' };
const DRIP_MS = 50;
const CONTENT = around(completion('@@'));
const FIELD = around({ ...completion('x'), extra: '@@' }, '"@@"');

/** The program waits for as long as a limit lasts, and is stopped. */
const THROTTLED = 'an error 429';

const filled = (text: string, [before, after] = CONTENT, status = 200, size = SIZE): Answer =>
  poured(JSON_TYPE, () => repeated(text, size, before, after), status);
const inList = (text: string): Answer => filled(text, [`${FIELD[0]}[`, `1]${FIELD[1]}`]);
const error = (status: number, text: string): Answer =>
  filled(text, around({ error: { message: '@@' } }), status);

const numbered = (
  name: (index: number) => string,
  headers: Record<string, string>,
  [before, after]: [string, string],
): Answer =>
  poured(headers, function* () {
    yield before;
    for (let index = 0; index < (after === '' ? Infinity : 900_000); index += 1000)
      yield Array.from({ length: 1000 }, (_, place) => name(index + place)).join('');
    yield after;
  });
const event = (chunk: unknown): string => `data: ${JSON.stringify(chunk)}\n\n`;
const delta = (content: string): string => event({ choices: [{ index: 0, delta: { content } }] });
const pouring = (headers: Record<string, string>, text: string, before = '', status = 200): Answer =>
  poured(headers, () => endless(text, before), status);

const packed =
  (bytes: Buffer, encoding: string | null): Answer =>
  (response) => {
    response.writeHead(200, encoding === null ? JSON_TYPE : { ...JSON_TYPE, 'content-encoding': encoding });
    response.end(bytes);
  };
const bomb = (): Buffer => Buffer.alloc(300 * MEGABYTE, 'a');

/** Writes to the connection itself, past the rules of HTTP. */
const raw =
  (pieces: () => Iterator<string>): Answer =>
  ({ socket }) => {
    if (socket !== null) pour(socket, pieces());
  };

const ANSWERS: Record<string, () => Answer> = {
  'text of 63 MB': () => filled('x', CONTENT, 200, 63 * MEGABYTE),
  text: () => filled('x'),
  'text beyond ASCII': () => filled('é'),
  'text with one emoji': () => filled('x', around(completion('😀@@'))),
  'text in escapes of JSON': () => filled('\\u0073\\u006b'),
  'text in escapes of URLs': () => filled('%73%6b%2d'),
  'text in entities': () => filled('&#115;&#107;'),
  'text in escapes of escapes': () => filled('%5Cu0073&#x73;%26%23115;'),
  'percent signs': () => filled('%25'),
  backslashes: () => filled('\\\\'),
  'beginnings of the key': () => filled('sk-test-key-000 '),
  'a model’s name': () => filled('m', around({ ...completion('x'), model: '@@' })),
  'a finish reason': () => filled('m', around(completion('x', { finish: '@@' }))),
  'tags of thinking': () => filled('<think>'),
  'a list of numbers': () => inList('1,'),
  'a list of lists': () => inList('[],'),
  'a list of objects': () => inList('{"a":{}},'),
  names: () => numbered((index) => `"k${index}":1,`, JSON_TYPE, [`${FIELD[0]}{`, `"z":1}${FIELD[1]}`]),
  nesting: () => filled('[', [FIELD[0], '']),
  'nesting that ends': () => filled('[[[[],[]]]],', [`${FIELD[0]}[`, `1]${FIELD[1]}`]),
  choices: () => filled('{"message":{"content":"x"}},', ['{"choices":[', '{}]}']),
  'an error 400': () => error(400, 'limit 1 '),
  [THROTTLED]: () => error(429, 'please try again in 1 s limit 1 of 2 '),
  'an error 500': () => error(500, '\\u001b[31m'),
  'an error in escapes': () => error(400, '%73\\u0073'),
  'a page': () => filled('<title>', ['<html>', ''], 502),
  'no JSON': () => filled('{"a"', ['', '']),
  'an endless text': () => pouring(JSON_TYPE, 'x', CONTENT[0]),
  'endless spaces': () => pouring(JSON_TYPE, ' '),
  'an endless error': () => pouring(JSON_TYPE, 'x', '{"error":{"message":"', 500),
  'an endless stream': () => pouring(STREAM, delta('x'.repeat(1000))),
  'an endless stream of letters': () => pouring(STREAM, delta('x')),
  'an endless stream of nothing': () => pouring(STREAM, ':\n\n'),
  'an endless line of a stream': () => pouring(STREAM, 'x', 'data: '),
  'a stream of choices': () =>
    numbered((index) => event({ choices: [{ index, delta: { content: 'x' } }] }), STREAM, ['', '']),
  'a stream of tool calls': () =>
    numbered((index) => event({ choices: [{ index: 0, delta: { tool_calls: [{ index }] } }] }), STREAM, [
      '',
      '',
    ]),
  'a stream of names': () =>
    numbered(
      (index) => event({ [`k${index}`]: 1, choices: [{ index: 0, delta: { [`f${index}`]: 'x' } }] }),
      STREAM,
      ['', ''],
    ),
  'a body that drips': () =>
    dripping(
      DRIP_MS,
      (response) => response.writeHead(200, JSON_TYPE),
      (response) => response.write(' '),
    ),
  'a stream that drips': () =>
    dripping(
      DRIP_MS,
      (response) => response.writeHead(200, STREAM),
      (response) => response.write(delta('x')),
    ),
  'headers that drip': () =>
    dripping(
      DRIP_MS,
      ({ socket }) => socket?.write('HTTP/1.1 200 OK\r\nx-a: '),
      ({ socket }) => socket?.write('a'),
    ),
  'endless headers': () => raw(() => endless(`x-a: ${'a'.repeat(1000)}\r\n`, 'HTTP/1.1 200 OK\r\n')),
  'an endless header': () => raw(() => endless('a', 'HTTP/1.1 200 OK\r\nx-a: ')),
  'endless early hints': () => raw(() => endless('HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n')),
  'endless chunk extensions': () =>
    raw(() => endless('a', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;')),
  'a gzip bomb': () => packed(gzipSync(bomb()), 'gzip'),
  'a gzip bomb in gzip': () => packed(gzipSync(gzipSync(bomb())), 'gzip, gzip'),
  'a gzip bomb that is not announced': () => packed(gzipSync(gzipSync(bomb())), null),
  'a gzip of lists': () => packed(gzipSync(`${FIELD[0]}[${'[],'.repeat(5_000_000)}1]${FIELD[1]}`), null),
  'a brotli bomb': () =>
    packed(brotliCompressSync(bomb(), { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }), 'br'),
};

it('no answer makes the program use much memory or miss a signal', async () => {
  const cases: Cases = Object.fromEntries(
    Object.entries(ANSWERS).map(([name, make]) => [
      name,
      async () => {
        const folder = temporaryFolder();
        const data = join(folder, 'data.jsonl');
        writeFileSync(data, '{"prompt":"a","response":"b"}\n{"prompt":"c","response":"d"}\n');
        const answer = make();
        const api = await hostileServer((_, response) => {
          answer(response);
        });
        const server = ['--base_url', `${api.url}/v1`, '--max_attempts', '1', '--request_timeout', '3'];
        const args = ['--dataset', data, ...server, ...foldersIn(folder)];
        const env = { OPENAI_API_KEY: 'sk-test-key-0001-abcdEFGH' };
        return hostileRun(args, { env }, name === THROTTLED ? 4000 : null);
      },
    ]),
  );
  await playHostile('hostile answers: huge, deep, endless, dripping, packed', cases, ['nesting']);
});
