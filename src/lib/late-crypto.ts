import type * as Crypto from 'node:crypto';

/**
 * `node:crypto` where it is needed and not before: an `import` would load it at the start of every command, `--version`
 * included, which takes some milliseconds.
 */
export function lateCrypto(): typeof Crypto {
  return process.getBuiltinModule('node:crypto');
}
