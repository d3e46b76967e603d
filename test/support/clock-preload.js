// Preloaded into the program: after CLOCK_AFTER milliseconds the wall clock is set by CLOCK_BY milliseconds, as a time
// server or a user does it, or it shows CLOCK_AT (ISO 8601) from the start. What counts time by `performance.now()` does not
// see it.
const { CLOCK_AFTER = '0', CLOCK_BY, CLOCK_AT } = process.env;
const after = Number(CLOCK_AFTER);
const started = performance.now();
const plainNow = Date.now.bind(Date);
const by = CLOCK_AT === undefined ? Number(CLOCK_BY) : Date.parse(CLOCK_AT) - plainNow();
const now = () => plainNow() + (performance.now() - started >= after ? by : 0);

globalThis.Date = new Proxy(Date, {
  construct: (plain, parts, called) => Reflect.construct(plain, parts.length === 0 ? [now()] : parts, called),
  get: (plain, name) => (name === 'now' ? now : Reflect.get(plain, name)),
});
