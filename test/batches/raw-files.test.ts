import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RawFile } from '../../src/batches/raw-files.js';
import { temporaryFolder } from '../support/cli.js';

function setUp(): {
  path: string;
  open: () => RawFile;
  source: (name: string, text: string) => string;
  warnings: string[];
} {
  const folder = temporaryFolder();
  const path = join(folder, 'batch_results.jsonl');
  const warnings: string[] = [];
  const reporter = {
    debug: () => undefined,
    info: () => undefined,
    error: () => undefined,
    warning: (text: string) => {
      warnings.push(text);
    },
  };
  return {
    path,
    warnings,
    open: () => new RawFile(path, '--output_file', reporter),
    source: (name, text) => {
      const source = join(folder, name);
      writeFileSync(source, text);
      return source;
    },
  };
}

describe('two watches that write one file', () => {
  it('let one of them write the whole file, and the other reports that', async () => {
    const { path, open, source, warnings } = setUp();
    const [first, second] = [open(), open()];
    const a = source('a', 'a1\n');
    await first.update([a]);
    await second.update([source('b', 'b1\n')]);
    // The second found lines of another run, which are kept under another name.
    await first.update([a, source('a2', 'a2\n')]);
    expect(readFileSync(path, 'utf8')).toBe('b1\n');
    expect(warnings.filter((text) => text.includes('with another --output_file'))).toHaveLength(1);
    const [aside = ''] = readdirSync(join(path, '..')).filter((name) => /^batch_results\.jsonl\./.test(name));
    expect(readFileSync(join(path, '..', aside), 'utf8')).toBe('a1\n');
  });

  it('of the same batches do not write a line twice', async () => {
    const { path, open, source } = setUp();
    const [first, second] = [open(), open()];
    const sources = [source('a', 'a1\na2\n'), source('b', 'b1\n')];
    await first.update(sources);
    await second.update(sources);
    await first.update(sources);
    expect(readFileSync(path, 'utf8')).toBe('a1\na2\nb1\n');
  });

  it('write it again if it was truncated meanwhile', async () => {
    const { path, open, source } = setUp();
    const a = source('a', 'a1\na2\n');
    await open().update([a]);
    writeFileSync(path, 'a1\na');
    await open().update([a]);
    expect(readFileSync(path, 'utf8')).toBe('a1\na2\n');
  });
});
