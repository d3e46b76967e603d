/** A key as it was meant: without the quotes, the `Bearer` or the invisible characters that were copied with it. */
export function readKey(text: string): string {
  const bare = text.replace(/[\u200b-\u200d\u2060\ufeff]/g, '').trim();
  const unquoted = /^(["'])(.*)\1$/s.exec(bare)?.[2] ?? bare;
  return unquoted
    .trim()
    .replace(/^(?:authorization:\s*)?bearer\s+/i, '')
    .trim();
}
