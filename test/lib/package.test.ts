import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string): string => readFileSync(`${ROOT}${path}`, 'utf8');
/** A package of which a bundle names a file. */
const PACKAGE = /node_modules\/((?:@[^/\s]+\/)?[^/\s]+)\//g;

describe('the package', () => {
  const packed = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT, encoding: 'utf8' }),
  ) as [{ files: { path: string }[] }];
  const files = packed[0].files.map(({ path }) => path);

  it('holds what it needs, and no tests, sources or maps', () => {
    for (const needed of [
      'LICENSE',
      'SECURITY.md',
      'THIRD_PARTY_NOTICES',
      'dist/cli.js',
      'dist/watch-batch.js',
      'dist/library.js',
      'dist/types/library/index.d.ts',
      'schemas/summary.json',
    ])
      expect(files).toContain(needed);
    const allowed = /^(?:dist|datasets\/examples|prompts|schemas)\/|^[A-Z_]+(?:\.md)?$|^package\.json$/;
    expect(
      files.filter((path) => !allowed.test(path) || /\.map$|(?<!\.d)\.ts$|\.test\.|(?:^|\/)\./.test(path)),
    ).toEqual([]);
  });

  it('holds no path of the machine that made it, and no key', () => {
    for (const path of files) {
      const text = read(path);
      expect(text.includes(ROOT), path).toBe(false);
      expect(text, path).not.toMatch(/\bhf_[A-Za-z0-9]{30,}|\bsk-(?:proj-)?[A-Za-z0-9]{30,}/);
    }
  });
});

it('every package that is bundled has its licence among the notices', () => {
  const notices = read('THIRD_PARTY_NOTICES');
  const program = readdirSync(`${ROOT}dist`).filter((name) => name.endsWith('.js'));
  const bundled = program.flatMap((name) =>
    [...read(`dist/${name}`).matchAll(PACKAGE)].map(([, found]) => found),
  );
  // The page's bundle is minified, so its sources show what is in it.
  const page = readdirSync(`${ROOT}src/report/page`).filter((name) => name.endsWith('.ts'));
  const imported = page.flatMap((name) =>
    [...read(`src/report/page/${name}`).matchAll(/^import (?!type).*?from '([^'.][^']*)'/gm)].map(
      ([, found]) => found,
    ),
  );
  expect(imported).toEqual(expect.arrayContaining(['diff', 'dompurify', 'marked', 'uplot']));
  expect(bundled.length).toBeGreaterThan(5);
  for (const name of new Set([...bundled, ...imported]))
    expect(notices, name).toMatch(new RegExp(`^${name ?? ''} \\d+\\.\\d+\\.\\d+ \\(`, 'm'));
});
