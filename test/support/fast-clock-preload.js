// Preloaded into the program: what counts time by `performance.now()` sees it pass CLOCK_FACTOR times as fast, so that
// minutes of patience take a second. Timers keep their pace.
const factor = Number(process.env.CLOCK_FACTOR);
const plainNow = performance.now.bind(performance);
performance.now = () => plainNow() * factor;
