/** Bytes of buffers that may pile up before they are given back. */
const PILE_BYTES = 32 << 20;

let pile = 0;
let collect: (() => void) | null = null;

/**
 * Notes that buffers were used and dropped. They are outside of the engine's heap, where it lets some hundred megabytes
 * pile up before it collects them; a run's memory should stay small, so a collection is forced now and then.
 */
export function noteDiscarded(bytes: number): void {
  pile += bytes;
  if (pile < PILE_BYTES) return;
  pile = 0;
  collect ??= openCollector();
  collect();
}

/** Loaded when it is first needed: an import would delay the first request of every run. */
function openCollector(): () => void {
  process.getBuiltinModule('node:v8').setFlagsFromString('--expose-gc');
  return process.getBuiltinModule('node:vm').runInNewContext('gc') as () => void;
}
