/**
 * The errors that cross the program, and the exit codes they end in.
 *
 * A `UserError` is a sentence for the person at the terminal: what happened, to which row, file or flag, and
 * what to do next. Everything else that reaches the boundary in `cli.ts` is a defect of ours.
 */

/** Exit codes, as `reannotate --help` and the README promise them. */
export const EXIT = {
  done: 0,
  /** Needs a person: a wrong key, no credit, a refused parameter. Running the same command again changes nothing. */
  cannotGoOn: 1,
  commandLine: 2,
  incomplete: 3,
  /** May pass by itself (server, network, disk, a lock held elsewhere); `EX_TEMPFAIL` of sysexits.h. */
  tryLater: 75,
  /** 128 + the number of the signal, as shells report it. */
  hungUp: 129,
  interrupted: 130,
  terminated: 143,
} as const;

/** A problem that the user can act on; its message is shown as it is, without a stack trace. */
export class UserError extends Error {
  override readonly name: string = 'UserError';

  constructor(
    message: string,
    readonly exitCode: number = EXIT.cannotGoOn,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A problem that may pass by itself, so that a scheduler may run the same command again: exit code 75. */
export class TemporaryError extends UserError {
  override readonly name: string = 'TemporaryError';

  constructor(message: string, options?: ErrorOptions) {
    super(message, EXIT.tryLater, options);
  }
}

/** A wrong command line: exit code 2. */
export class UsageError extends UserError {
  override readonly name = 'UsageError';

  constructor(message: string, options?: ErrorOptions) {
    super(message, EXIT.commandLine, options);
  }
}

/** The `code` of a Node system error (`ENOENT`, `ECONNRESET`, …), wherever it is in the chain of causes. */
export function systemErrorCode(error: unknown): string | undefined {
  let current: unknown = error;
  for (let depth = 0; depth < 5 && current instanceof Error; depth++) {
    const code: unknown = (current as NodeJS.ErrnoException).code;
    if (typeof code === 'string') return code;
    current =
      current instanceof AggregateError && current.errors.length > 0 ? current.errors[0] : current.cause;
  }
  return undefined;
}

const TLS_CODES = /^(?:CERT_|ERR_TLS|ERR_SSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH)/;

/** True for a certificate that is not trusted, or a server that does not speak TLS: trying again changes nothing. */
export function isTlsProblem(error: unknown): boolean {
  return TLS_CODES.test(systemErrorCode(error) ?? '');
}

/**
 * For the `default` of a switch over all kinds of something: a new kind does not compile until the switch handles it.
 */
export function unhandled(one: never): Error {
  return new Error(`unhandled: ${JSON.stringify(one)}`);
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  // Where several addresses of a host were tried, each has its own error.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}

/** A sentence for the user, wherever in the chain of causes it is; null where there is none. */
export function userErrorIn(error: unknown): UserError | null {
  let current: unknown = error;
  for (let depth = 0; depth < 5 && current instanceof Error; depth++) {
    if (current instanceof UserError) return current;
    current = current.cause;
  }
  return null;
}
