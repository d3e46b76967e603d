import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lastLine } from '../../src/lib/files.js';
import { temporaryFolder } from '../support/cli.js';

describe('the last line of a file', () => {
  const reader = (): ((text: string) => string) => {
    const path = join(temporaryFolder(), 'lines');
    return (text) => {
      writeFileSync(path, text);
      return lastLine(path).toString('utf8');
    };
  };

  it('is the last one that is not empty', () => {
    const last = reader();
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', 'bc', '', 'ü\r')), fc.boolean(), (lines, isTorn) => {
        const text = `${lines.join('\n')}${isTorn ? '' : '\n'}`;
        expect(last(text)).toBe(lines.findLast((line) => line !== '') ?? '');
      }),
    );
  });

  it('is found even if it, or the empty space after it, is longer than the part that is read first', () => {
    const last = reader();
    const long = 'x'.repeat(300_000);
    expect(last(`a\n${long}\n`)).toBe(long);
    expect(last(`a\n${'\n'.repeat(300_000)}`)).toBe('a');
    expect(last(`${long}\nb\n`)).toBe('b');
  });
});
