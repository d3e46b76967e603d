// Compiles src/ to dist/ and makes the two commands executable.
import { execFileSync } from 'node:child_process';
import { chmodSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';

rmSync('dist', { recursive: true, force: true });
execFileSync(process.execPath, [createRequire(import.meta.url).resolve('typescript/bin/tsc')], {
  stdio: 'inherit',
});
for (const command of ['dist/cli.js', 'dist/watch-batch.js']) chmodSync(command, 0o755);
