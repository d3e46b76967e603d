/** seek-bzip 2 has no types. Its `decode` does all blocks together; these are its parts, which do one block at a time. */
declare module 'seek-bzip' {
  interface Input {
    readByte(): number;
    read(target: Uint8Array, start: number, length: number): number;
    eof(): boolean;
  }

  export default class Bunzip {
    /** @throws TypeError where the input does not begin as bzip2 does */
    constructor(input: Input, output: { writeByte(byte: number): void });
    /** Reads the next block; false at the end of the stream. */
    _init_block(): boolean;
    /** Writes the block that was read. @throws TypeError where its checksum does not match */
    _read_bunzip(): number;
    readonly reader: { read(bits: number): number };
    readonly streamCRC: number;
  }
}
