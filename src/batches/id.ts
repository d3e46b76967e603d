/** Ids of batches and files. */

/** Gateways pack routing data into ids, some 330 characters of base64 (BerriAI/litellm#10650). */
const LONGEST_ID = 4096;
/** Controls and separators, which would break a line of a log or a request; `.` and `..` change the path of a URL. */
const NO_ID = /[\p{Cc}\u2028\u2029]|^\s|\s$|^\.{1,2}$/u;

/**
 * True for text that can be the id of a batch or a file. Ids are opaque: any printable text of up to 4,096 characters.
 * They are percent-encoded in addresses, and files are never named after them.
 */
export function isId(text: string): boolean {
  return text.length > 0 && text.length <= LONGEST_ID && text.isWellFormed() && !NO_ID.test(text);
}
