/** What a reader noted about rows: kept in the browser's own storage, and saved as JSON Lines that exports take. */

export const MARKS = ['accept', 'reject', 'edit'] as const;
export type MarkKind = (typeof MARKS)[number];

export interface Mark {
  mark: MarkKind | null;
  comment: string;
  /** The answer as the reader wants it; null where it was not edited. */
  annotation: string | null;
}

const NOTHING: Mark = { mark: null, comment: '', annotation: null };

export class Marks {
  readonly #key: string;
  readonly #marks: Map<number, Mark>;
  /** False where the browser keeps nothing, so that marks are lost with the page. */
  #isKept = true;

  /** @param id of the run; null where nothing is marked */
  constructor(private readonly id: string | null) {
    this.#key = `reannotate:marks:${id ?? ''}`;
    this.#marks = new Map(id === null ? [] : this.#read());
  }

  get isKept(): boolean {
    return this.#isKept;
  }

  get size(): number {
    return this.#marks.size;
  }

  of(row: number): Mark {
    return this.#marks.get(row) ?? NOTHING;
  }

  set(row: number, change: Partial<Mark>): void {
    const mark = { ...this.of(row), ...change };
    if (mark.mark === null && mark.comment.trim() === '') this.#marks.delete(row);
    else this.#marks.set(row, mark);
    this.#write();
  }

  clear(): void {
    this.#marks.clear();
    this.#write();
  }

  /** One line for each row, in their order. */
  get lines(): string {
    return [...this.#marks]
      .sort(([a], [b]) => a - b)
      .map(([row, { mark, comment, annotation }]) => {
        const line = {
          run: this.id,
          request_idx: row,
          mark,
          ...(comment.trim() === '' ? {} : { comment }),
          ...(mark === 'edit' && annotation !== null ? { annotation } : {}),
        };
        return `${JSON.stringify(line)}\n`;
      })
      .join('');
  }

  #read(): [number, Mark][] {
    try {
      const kept: unknown = JSON.parse(localStorage.getItem(this.#key) ?? '[]');
      return Array.isArray(kept) ? kept.flatMap(readEntry) : [];
    } catch {
      this.#isKept = false;
      return [];
    }
  }

  #write(): void {
    try {
      localStorage.setItem(this.#key, JSON.stringify([...this.#marks]));
    } catch {
      this.#isKept = false;
    }
  }
}

/** Another page of this computer may have written there. */
function readEntry(entry: unknown): [number, Mark][] {
  if (!Array.isArray(entry)) return [];
  const [row, value] = entry as [unknown, Partial<Mark> | null];
  if (typeof row !== 'number' || typeof value !== 'object' || value === null) return [];
  const { mark, comment, annotation } = value;
  return [
    [
      row,
      {
        mark: MARKS.find((one) => one === mark) ?? null,
        comment: typeof comment === 'string' ? comment : '',
        annotation: typeof annotation === 'string' ? annotation : null,
      },
    ],
  ];
}
