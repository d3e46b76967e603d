import type { PromptRow } from '../types.js';

/** Which columns play which part; null where the dataset has none for it. */
export interface ColumnRoles {
  prompt: string;
  /** The further input that `alpaca` templates know. */
  input: string | null;
  response: string | null;
  system: string | null;
}

/** How rows of one shape become prompts. */
export interface Format {
  /** Finds the columns of this format among a dataset's; null where they are not there. */
  detect(columns: readonly string[]): ColumnRoles | null;
  /** Columns as named in a message, for a dataset that lacks them. */
  needs: string;
  /** Makes the prompt. @throws RowProblem for a row that holds none */
  apply(row: Readonly<Record<string, unknown>>, roles: ColumnRoles): PromptRow;
}
