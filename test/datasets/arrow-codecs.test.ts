import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArrowFile } from '../../src/datasets/arrow.js';
import { unlz4 } from '../../src/datasets/arrow-codecs.js';
import { temporaryFolder } from '../support/cli.js';

/** `pyarrow.compress(text, codec='lz4')` of 4,000 rows. */
const FRAME =
  'BCJNGEBAwDkBAADwBHJvdyAwIG9mIHRoZSB0aWRlOyATAB4xEwAeMhMAHjMTAB40EwAeNRMAHjYTAA+FAP////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////9fUHJvdyA1NQAAAA77/w+c///////////////////////////////////////////////////////eUGlkZTsgAAAAAA==';
/** `pyarrow.feather.write_feather` of 60 rows, with its default compression. */
const FEATHER =
  'QVJST1cxAAD/////oAAAABAAAAAAAAoADAAGAAUACAAKAAAAAAEEAAwAAAAIAAgAAAAEAAgAAAAEAAAAAgAAAEQAAAAEAAAA1P///wAAAQUQAAAAHAAAAAQAAAAAAAAACAAAAHJlc3BvbnNlAAAAAMj///8QABQACAAGAAcADAAAABAAEAAAAAAAAQUQAAAAHAAAAAQAAAAAAAAABgAAAHByb21wdAAABAAEAAQAAAD/////6AAAABQAAAAAAAAADAAYAAYABQAIAAwADAAAAAADBAAcAAAAoAIAAAAAAAAAAAAADAAcABAABAAIAAwADAAAAIgAAAAcAAAAFAAAADwAAAAAAAAAAAAAAAQABAAEAAAABgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAsBAAAAAAAAEAEAAAAAAABFAAAAAAAAAFgBAAAAAAAAAAAAAAAAAABYAQAAAAAAAAsBAAAAAAAAaAIAAAAAAAA3AAAAAAAAAAAAAAACAAAAPAAAAAAAAAAAAAAAAAAAADwAAAAAAAAAAAAAAAAAAAD0AAAAAAAAAAQiTRhgQIL0AACAAAAAACkAAABSAAAAewAAAKQAAADNAAAA9gAAAB8BAABIAQAAcQEAAJoBAADDAQAA7AEAABUCAAA+AgAAZwIAAJACAAC5AgAA4gIAAAsDAAA0AwAAXQMAAIYDAACvAwAA2AMAAAEEAAAqBAAAUwQAAHwEAAClBAAAzgQAAPcEAAAgBQAASQUAAHIFAACbBQAAxAUAAO0FAAAWBgAAPwYAAGgGAACRBgAAugYAAOMGAAAMBwAANQcAAF4HAACHBwAAsAcAANkHAAACCAAAKwgAAFQIAAB9CAAApggAAM8IAAD4CAAAIQkAAEoJAABzCQAAnAkAAAAAAAAAAAAAAJwJAAAAAAAABCJNGGBAgi4AAAD/B1NheSBoZWxsbyB0byB0aGUgdGlkZSwKAAAPKQD///////////9kUCB0aWRlAAAAAAAAAPQAAAAAAAAABCJNGGBAgvQAAIAAAAAAWgAAALQAAAAOAQAAaAEAAMIBAAAcAgAAdgIAANACAAAqAwAAhAMAAN4DAAA4BAAAkgQAAOwEAABGBQAAoAUAAPoFAABUBgAArgYAAAgHAABiBwAAvAcAABYIAABwCAAAyggAACQJAAB+CQAA2AkAADIKAACMCgAA5goAAEALAACaCwAA9AsAAE4MAACoDAAAAg0AAFwNAAC2DQAAEA4AAGoOAADEDgAAHg8AAHgPAADSDwAALBAAAIYQAADgEAAAOhEAAJQRAADuEQAASBIAAKISAAD8EgAAVhMAALATAAAKFAAAZBQAAL4UAAAYFQAAAAAAAAAAAAAAGBUAAAAAAAAEIk0YYECCIAAAAB94AQD///////////////////////////8UUHh4eHh4AAAAAAD/////AAAAABAAAAAMABQABgAIAAwAEAAMAAAAAAAEADQAAAAkAAAABAAAAAEAAACwAAAAAAAAAPAAAAAAAAAAoAIAAAAAAAAAAAAACAAIAAAABAAIAAAABAAAAAIAAABEAAAABAAAANT///8AAAEFEAAAABwAAAAEAAAAAAAAAAgAAAByZXNwb25zZQAAAADI////EAAUAAgABgAHAAwAAAAQABAAAAAAAAEFEAAAABwAAAAEAAAAAAAAAAYAAABwcm9tcHQAAAQABAAEAAAAyAAAAEFSUk9XMQ==';

function frame(...blocks: (readonly number[])[]): Uint8Array {
  const parts = blocks.flatMap((block) => [...uint32(block.length), ...block]);
  return Uint8Array.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0, ...parts, ...uint32(0)]);
}

function uint32(value: number): number[] {
  return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24];
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const codes = (letters: string): number[] => [...Buffer.from(letters)];

describe('LZ4', () => {
  it('is unpacked as other programs pack it', () => {
    const expected = Array.from({ length: 4000 }, (_, row) => `row ${row % 7} of the tide; `).join('');
    expect(text(unlz4(Buffer.from(FRAME, 'base64')))).toBe(expected);
  });

  it('repeats what is before, also what an earlier block holds, and may overlap itself', () => {
    expect(text(unlz4(frame([0x30, ...codes('abc')], [0x02, 3, 0, 0x10, ...codes('z')])))).toBe('abcabcabcz');
  });

  it.each<[string, Uint8Array]>([
    ['no frame', Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)],
    ['a match before the beginning', frame([0x10, 65, 9, 0])],
    ['literals that are not there', frame([0xf0, 255])],
    ['a block that is not there', frame([0x10, 65]).subarray(0, 12)],
  ])('is refused where it is damaged: %s', (_, bytes) => {
    expect(() => unlz4(bytes)).toThrow();
  });

  it('of any bytes ends', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(255), { maxLength: 60 }), (block) => {
        try {
          expect(unlz4(frame(block)).length).toBeLessThan(1 << 20);
        } catch (error) {
          expect(String(error)).toMatch(/LZ4/);
        }
      }),
    );
  });
});

it('a Feather file is read as pandas writes it, compressed', async () => {
  const path = join(temporaryFolder(), 'data.feather');
  writeFileSync(path, Buffer.from(FEATHER, 'base64'));
  const file = await ArrowFile.open(path, 'data.feather');
  expect([file.rows, file.columns]).toEqual([60, ['prompt', 'response']]);
  const rows: unknown[] = [];
  for await (const row of file.read(file.columns, 58, 60)) rows.push(row);
  const prompt = 'Say hello to the tide, the tide, the tide';
  expect(rows).toEqual([
    { prompt, response: 'x'.repeat(90) },
    { prompt, response: 'x'.repeat(90) },
  ]);
});
