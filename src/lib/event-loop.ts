/** Long work that lets signals and answers be heard. */

/** Lets timers, signals and sockets have their turn inside a long loop. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Milliseconds that a loop may run before the others get a turn. */
const TURN_MS = 20;

/** When the others had their last turn in such a loop. */
let lastTurn = -Infinity;

/**
 * For the inside of a loop that may last: yields when it is time to, and costs almost nothing otherwise. Loops share the
 * time of the last turn: of a hundred thousand short loops after each other, none alone would ever find it is time.
 */
export function cooperativePause(): () => Promise<void> | undefined {
  return () => {
    if (performance.now() - lastTurn < TURN_MS) return undefined;
    return yieldToEventLoop().then(() => {
      lastTurn = performance.now();
    });
  };
}
