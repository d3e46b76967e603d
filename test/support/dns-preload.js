// Preloaded into the program: between DNS_FROM and DNS_UNTIL milliseconds after its start no name can be looked up, and
// the name api.test is this machine.
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';

const { DNS_FROM, DNS_UNTIL, DNS_CODE } = process.env;
const plain = dns.lookup;
const lookup = (name, options, callback) => {
  const now = performance.now();
  if (now >= Number(DNS_FROM) && now < Number(DNS_UNTIL)) {
    const error = Object.assign(new Error(`getaddrinfo ${DNS_CODE} ${name}`), {
      code: DNS_CODE,
      syscall: 'getaddrinfo',
      hostname: name,
    });
    process.nextTick(callback, error);
    return;
  }
  plain(name === 'api.test' ? '127.0.0.1' : name, options, callback);
};
// What `promisify` makes of it is the plain one, which the program does not use.
dns.lookup = Object.assign(lookup, { __promisify__: plain.__promisify__ });
syncBuiltinESMExports();
