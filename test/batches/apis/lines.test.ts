import { describe, expect, it } from 'vitest';
import { resultsIn } from '../../../src/batches/apis/inline.js';
import { linesOf } from '../../../src/batches/apis/lines.js';
import { readResultLine } from '../../../src/batches/results.js';

const bounds = { bytes: 10_000, line: { bytes: 2000, values: 20 } };

async function* inPieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  // As undici does, each piece uses the memory of the one before.
  const memory = Buffer.alloc(size);
  for (let start = 0; start < text.length; start += size) {
    yield memory.subarray(0, memory.write(text.slice(start, start + size), 'latin1'));
  }
}

async function all<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const found: Value[] = [];
  for await (const value of values) found.push(value);
  return found;
}

describe('lines of a stream', () => {
  const long = 'y'.repeat(5000);
  it.each([1, 7, 100, 4096, 10_000])(
    'are cut where they are too long, in pieces of %d bytes',
    async (size) => {
      const lines = await all(linesOf(inPieces(`first\n\n${long}\nlast`, size), bounds));
      expect(lines.map(({ bytes, isCut }) => (isCut ? bytes.length : bytes.toString()))).toEqual([
        'first',
        '',
        1024,
        'last',
      ]);
    },
  );

  it('of a file that is larger than it may be are an error', async () => {
    await expect(all(linesOf(inPieces('z'.repeat(20_000), 4096), bounds))).rejects.toThrow(
      'more than 10000 bytes',
    );
  });
});

describe('inline results', () => {
  const own = `re${'x'.repeat(28)}c0x0123456789ab_7`;
  it.each([
    ['longer', `{"custom_id":"${own}","result":{"text":"${'a'.repeat(200)}"}}`],
    ['full of values', `{"custom_id": "${own}","r":[${'[],'.repeat(9)}0,0,0,0]}`],
  ])('that are too large, %s, fail their row and are never parsed', async (_, line) => {
    const read = (): null => {
      throw new Error('was parsed');
    };
    const [result] = await all(
      resultsIn(inPieces(`${line}\n`, 64), { ...bounds, line: { bytes: 150, values: 12 } }, read),
    );
    const replaced = result as Buffer;
    expect(readResultLine(replaced)?.id).toBe('7');
    expect(replaced.toString()).toContain('"line_too_large"');
  });
});
