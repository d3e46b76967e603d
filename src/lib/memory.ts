import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes of buffers that may pile up before they are given back. */
const PILE_BYTES = 32 << 20;

let pile = 0;
let collect: (() => void) | null = null;

/**
 * Tells of buffers that were used and dropped. They live outside of the engine's heap, where it lets some hundred
 * megabytes pile up before it looks; a run's memory is to stay small, so it is made to look now and then.
 */
export function noteDiscarded(bytes: number): void {
  pile += bytes;
  if (pile < PILE_BYTES) return;
  pile = 0;
  if (collect === null) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}
