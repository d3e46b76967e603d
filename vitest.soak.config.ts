import { defineConfig } from 'vitest/config';

/** `npm run soak`: every case of the classes of which `npm test` tries a sample. */
export default defineConfig({
  test: {
    include: ['test/soak/**/*.test.ts', 'test/page/kinds.test.ts'],
    env: { SOAK: '1' },
    testTimeout: 3 * 3_600_000,
    hookTimeout: 60_000,
    globalSetup: ['test/support/in-memory.ts'],
    // What is measured of memory and time in one file is not to be disturbed by another.
    fileParallelism: false,
    reporters: ['default', './test/soak/table-reporter.ts'],
  },
});
