/** What is said about Parquet files that cannot be read. */

import { UserError, messageOf } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import { NotText } from './parquet-values.js';

/** Where something is in a file, such as `row group 2, column "prompt"`. */
export function placeOf(group: number, columns: readonly string[]): string {
  const names = columns.slice(0, 3).map((column) => `"${sanitize(column, 60)}"`);
  return `row group ${group + 1}, column ${names.join(', ')}`;
}

/** @param what of the file, such as `its column "prompt"` */
export function encrypted(title: string, what: string): UserError {
  return new UserError(`${title} cannot be read: ${what} is encrypted. Write it without encryption.`);
}

/** The message about columns that could not be decoded. */
export function undecodable(
  title: string,
  error: unknown,
  { columns, place }: { columns: readonly string[]; place: string },
): UserError {
  return error instanceof NotText ? binary(title, columns.join('", "')) : damaged(title, error, place);
}

function binary(title: string, columns: string): UserError {
  return new UserError(
    `${title} cannot be read: "${sanitize(columns, 200)}" holds binary data, not text. Choose other columns with ` +
      '--prompt_column, --response_column and --input_column (none for no column).',
  );
}

/** @param place in the file, where it is known */
export function damaged(title: string, error: unknown, place = ''): UserError {
  if (error instanceof UserError) return error;
  const reason = `${place === '' ? '' : `${place}: `}${sanitize(messageOf(error), 200)}`;
  return new UserError(
    `${title} can't be read as Parquet: ${reason}. It may be damaged or incomplete; download it again.`,
    undefined,
    { cause: error },
  );
}
