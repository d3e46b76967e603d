/**
 * undici's connection pool alone. The package's entry loads all of undici (fetch, web sockets, caches, mocks), which
 * takes longer than everything else that happens before a run's first request.
 */
declare module 'undici/lib/dispatcher/pool.js' {
  export { Pool as default } from 'undici';
}
