/**
 * The parts of undici in use. The package's entry loads all of undici (fetch, web sockets, caches, mocks), which takes
 * longer than everything else that happens before a run's first request.
 */
declare module 'undici/lib/dispatcher/pool.js' {
  export { Pool as default } from 'undici';
}

/** The base class. The entry adds `request` to it; by itself it only dispatches. */
declare module 'undici/lib/dispatcher/dispatcher.js' {
  export { Dispatcher as default } from 'undici';
}

declare module 'undici/lib/core/connect.js' {
  export { buildConnector as default } from 'undici';
}

declare module 'undici/lib/api/api-request.js' {
  import type { Dispatcher } from 'undici';

  /** What the entry adds as `Dispatcher.prototype.request`. */
  const request: Dispatcher['request'];
  export default request;
}
