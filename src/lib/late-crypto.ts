/**
 * `node:crypto` where it is needed and not before: an `import` would load it at the start of every command, `--version`
 * included, which takes some milliseconds.
 */
export function lateCrypto(): typeof import('node:crypto') {
  return process.getBuiltinModule('node:crypto');
}
