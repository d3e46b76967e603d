// Bundles src/ into dist/ and makes the two commands executable.
import { chmodSync, rmSync } from 'node:fs';
import { rolldown } from 'rolldown';

/**
 * Dependencies that every run loads go into the bundle: finding and reading their many files would take longer than
 * starting Node. All others are loaded when they are needed.
 */
const BUNDLED =
  /^(?:commander|yaml|p-limit|yocto-queue|eventsource-parser|fastest-levenshtein|undici\/lib\/)/;

rmSync('dist', { recursive: true, force: true });
const bundle = await rolldown({
  input: ['src/cli.ts', 'src/watch-batch.ts'],
  platform: 'node',
  external: (name) => /^[^./]/.test(name) && !/^[A-Z]:/i.test(name) && !BUNDLED.test(name),
  onLog: (level, log) => {
    // demo.ts is loaded when it is needed, and so is what it imports.
    if (log.code !== 'INEFFECTIVE_DYNAMIC_IMPORT') process.stderr.write(`${level}: ${log.message}\n`);
  },
});
await bundle.write({ dir: 'dist', chunkFileNames: '[name].js', comments: { legal: true } });
await bundle.close();
for (const command of ['dist/cli.js', 'dist/watch-batch.js']) chmodSync(command, 0o755);
