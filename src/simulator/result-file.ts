/** A file of results that a batch writes. */

import { BufferedFile } from '../lib/files.js';
import { downloadFault, type BatchFault } from './batch-faults.js';
import { newLongId, type FileStore, type StoredFile } from './files.js';

/** A result file in the making: it comes to be with its first line. */
export class ResultFile {
  /** Null until it is complete, and where it has no line. */
  stored: StoredFile | null = null;
  #file: BufferedFile | null = null;
  #bytes = 0;

  constructor(
    private readonly files: FileStore,
    private readonly name: string,
  ) {}

  write(line: string): void {
    this.#file ??= new BufferedFile(this.files.newPath());
    const bytes = Buffer.from(`${line}\n`, 'utf8');
    this.#file.write(bytes);
    this.#bytes += bytes.length;
  }

  store(owner: string, lifetime: number, faults: ReadonlySet<BatchFault>): void {
    if (this.#file === null) return;
    const { path } = this.#file;
    this.#file.flush();
    this.abandon();
    const cuts = faults.has('cut_download') ? new Set<number>() : null;
    const fault = downloadFault(faults);
    const { name } = this;
    this.stored = this.files.add(
      { owner, path, bytes: this.#bytes, name, purpose: 'batch_output', cuts, fault },
      lifetime,
      faults.has('long_ids') ? newLongId('file') : undefined,
    );
  }

  abandon(): void {
    this.#file?.abandon();
    this.#file = null;
  }
}
