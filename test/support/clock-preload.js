// Preloaded into the program: after CLOCK_AFTER milliseconds the wall clock is set by CLOCK_BY milliseconds, as a time
// server or a user does it. What counts time by `performance.now()` does not see it.
const after = Number(process.env.CLOCK_AFTER);
const by = Number(process.env.CLOCK_BY);
const started = performance.now();
const plainNow = Date.now.bind(Date);
const now = () => plainNow() + (performance.now() - started >= after ? by : 0);

globalThis.Date = new Proxy(Date, {
  construct: (plain, parts, called) => Reflect.construct(plain, parts.length === 0 ? [now()] : parts, called),
  get: (plain, name) => (name === 'now' ? now : Reflect.get(plain, name)),
});
