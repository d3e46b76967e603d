/** True where the bytes at a place match a pattern. Compared one by one: for short patterns that beats a native call. */
export function matchesAt(bytes: Uint8Array, pattern: Uint8Array, at: number): boolean {
  if (at < 0) return false;
  for (let index = 0; index < pattern.length; index++) if (bytes[at + index] !== pattern[index]) return false;
  return true;
}

/** The memory that was looked at last, four bytes at a time. */
let last: { memory: ArrayBufferLike; words: Int32Array } = {
  memory: new ArrayBuffer(0),
  words: new Int32Array(0),
};

/**
 * The memory behind some bytes in words of four. Byte n of `bytes` lies in word `(bytes.byteOffset + n) >> 2`; in what
 * order a word holds its bytes depends on the machine.
 */
export function wordsBehind(bytes: Uint8Array): Int32Array {
  const memory = bytes.buffer;
  if (last.memory !== memory) last = { memory, words: new Int32Array(memory, 0, memory.byteLength >> 2) };
  return last.words;
}

/**
 * Not 0 where one of a word's four bytes is zero (Bit Twiddling Hacks, graphics.stanford.edu/~seander/bithacks.html).
 * With `word ^ 0x22222222` it finds a quote, and so on.
 */
export function zeroByte(word: number): number {
  return (word - 0x01010101) & ~word & 0x80808080;
}
