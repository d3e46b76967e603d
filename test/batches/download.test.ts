import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BatchApi, Download } from '../../src/batches/apis/batch-api.js';
import { cleanLines } from '../../src/batches/clean-lines.js';
import { download } from '../../src/batches/download.js';
import { FileTooLarge } from '../../src/batches/result-file.js';
import { classifyResult, readResultLine } from '../../src/batches/results.js';
import { ANSWER_BOUNDS } from '../../src/http/answer-bounds.js';
import { Redactor } from '../../src/secrets/redactor.js';
import { FakeClock } from '../support/fake-clock.js';
import { temporaryFolder } from '../support/cli.js';

const CONTENT = 'one line\nanother line\nthe last line\n';

async function* pieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  for (let start = 0; start < text.length; start += size) yield Buffer.from(text.slice(start, start + size));
}

/** A gigabyte if anybody took it: counts how much was sent. */
function endless(sent: { bytes: number }): AsyncIterable<Uint8Array> {
  const block = Buffer.alloc(1 << 20, 'x');
  return (async function* () {
    await Promise.resolve();
    for (let round = 0; round < 1024; round++) {
      sent.bytes += block.length;
      yield block;
    }
  })();
}

interface Attempt {
  isWhole?: boolean;
  downloads: ((from: number) => Download)[];
  maximumBytes?: number;
  before?: string;
}

async function attempt({ downloads, maximumBytes = 1000, before }: Attempt): Promise<{
  result: boolean | Error;
  path: string;
  files: string[];
  asked: number[];
}> {
  const folder = temporaryFolder();
  const path = join(folder, 'file.jsonl');
  if (before !== undefined) writeFileSync(`${path}.part`, before);
  const clock = new FakeClock();
  const asked: number[] = [];
  const client = {
    download: (_: string, from: number): Promise<Download> => {
      asked.push(from);
      const answer = downloads[Math.min(asked.length, downloads.length) - 1];
      return answer === undefined ? Promise.reject(new Error('no answer')) : Promise.resolve(answer(from));
    },
  };
  const waiting = { clock, random: () => 0, signal: new AbortController().signal };
  const parts = {
    client: client as unknown as BatchApi,
    waiting,
    redactor: new Redactor([]),
    bounds: { bytes: maximumBytes, line: ANSWER_BOUNDS },
  };
  const state = { isOver: false };
  const pending = download('file-1', path, parts)
    .catch((error: unknown) => error as Error)
    .finally(() => {
      state.isOver = true;
    });
  while (!state.isOver) {
    await clock.runUntil(clock.now() + 60_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { result: await pending, path, files: readdirSync(folder), asked };
}

const whole = (): Download => ({ offset: 0, total: CONTENT.length, bytes: pieces(CONTENT, 7) });
const cutOff = (): Download => ({ offset: 0, total: CONTENT.length, bytes: pieces(CONTENT.slice(0, 12), 7) });

describe('downloading a result file', () => {
  it.each<[string, ((from: number) => Download)[], string | undefined]>([
    ['in pieces', [whole], undefined],
    ['cut off once, from a server that knows no ranges', [cutOff, whole], undefined],
    [
      'cut off once, from one that does',
      [cutOff, (from) => ({ offset: from, total: CONTENT.length, bytes: pieces(CONTENT.slice(from), 7) })],
      undefined,
    ],
    ['continued after an earlier start', [whole], CONTENT.slice(0, 20)],
    [
      'with a range that begins too late, at first',
      [
        (from) => ({ offset: from + 5, total: CONTENT.length, bytes: pieces(CONTENT.slice(from + 5), 7) }),
        whole,
      ],
      CONTENT.slice(0, 12),
    ],
    ['of unknown length', [() => ({ offset: 0, total: null, bytes: pieces(CONTENT, 7) })], undefined],
  ])('%s', async (_, downloads, before) => {
    const { result, path, files } = await attempt({ downloads, ...(before === undefined ? {} : { before }) });
    expect(result).toBe(true);
    expect(readFileSync(path, 'utf8')).toBe(CONTENT);
    expect(files).toEqual(['file.jsonl']);
  });

  it('of an impossible size is not started', async () => {
    const sent = { bytes: 0 };
    const { result, files } = await attempt({
      downloads: [() => ({ offset: 0, total: 700 << 20, bytes: endless(sent) })],
      maximumBytes: 64 << 20,
    });
    expect(result).toBeInstanceOf(FileTooLarge);
    expect([sent.bytes, files]).toEqual([0, []]);
  });

  it('that grows beyond it without saying so ends there, and nothing of it stays', async () => {
    const sent = { bytes: 0 };
    const { result, path, files } = await attempt({
      downloads: [() => ({ offset: 0, total: null, bytes: endless(sent) })],
      maximumBytes: 4 << 20,
    });
    expect(result).toBeInstanceOf(FileTooLarge);
    expect(sent.bytes).toBeLessThanOrEqual(6 << 20);
    expect([existsSync(path), files]).toEqual([false, []]);
  });
});

describe('a downloaded file', () => {
  it('has an error in the place of a line that is larger than any answer', async () => {
    const body = (extra: string): string =>
      `{"id":"r","custom_id":"7","response":{"status_code":200,"body":{${extra}}},"error":null}`;
    const lines = [
      '{"id":"r","custom_id":"6"}',
      body(`"x":"${'x'.repeat(17 << 20)}"`),
      body(`"x":[${'0,'.repeat(1_100_000)}0]`),
      body(`"x":"${'\\u0073%73'.repeat(500_000)}"`),
      '{"custom_id":"8"}',
    ];
    const path = join(temporaryFolder(), 'file.jsonl');
    writeFileSync(path, lines.join('\n'));
    const redactor = new Redactor([{ value: 'sk-abcdefghij-0123', source: 'KEY' }]);
    await cleanLines(path, redactor, ANSWER_BOUNDS, new AbortController().signal);
    const found = readFileSync(path, 'utf8').split('\n');
    expect([found[0], found[4], found.length]).toEqual([lines[0], lines[4], 5]);
    const reasons = ['is longer than 16 MB', 'holds more than 1 million JSON values', 'has too many escapes'];
    for (const [place, reason] of reasons.entries()) {
      const line = readResultLine(Buffer.from(found[place + 1] ?? ''));
      expect(line?.id).toBe('7');
      expect(line === null ? null : classifyResult(line)).toMatchObject({
        kind: 'row',
        message: expect.stringContaining(reason) as string,
      });
    }
  });

  it('loses a secret that an earlier start did not know', async () => {
    const path = join(temporaryFolder(), 'file.jsonl');
    writeFileSync(path, 'one\nkey sk-abcdefghij-0123\n');
    const redactor = new Redactor([{ value: 'sk-abcdefghij-0123', source: 'KEY' }]);
    await cleanLines(path, redactor, ANSWER_BOUNDS, new AbortController().signal);
    expect(readFileSync(path, 'utf8')).toBe('one\nkey [redacted]\n');
  });
});
