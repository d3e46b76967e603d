import { FinishRules } from '../../src/models/finish-reason.js';
import { ParameterFit } from '../../src/requests/parameters.js';
import { Processor, type ProcessorEvents, type ProcessorOptions } from '../../src/requests/processor.js';
import { OneServer, type Server } from '../../src/requests/servers.js';
import { NO_SECRETS } from '../../src/secrets/redactor.js';

const ignore = (): void => undefined;

/** What a test has to decide, and what it may. */
type Decided = Pick<ProcessorOptions, 'clock'> &
  Partial<Omit<ProcessorOptions, 'events' | 'servers'>> &
  (Server | Pick<ProcessorOptions, 'servers'>) & { events?: Partial<ProcessorEvents> };

/** A processor without a budget or secrets, which ignores all events but the given ones. */
export function plainProcessor({ events, ...decided }: Decided): Processor {
  return new Processor({
    servers: 'servers' in decided ? decided.servers : new OneServer(decided),
    parameters: new ParameterFit(),
    redactor: NO_SECRETS,
    rules: new FinishRules(),
    partialBefore: null,
    maxAttempts: 5,
    budget: null,
    reporter: { debug: ignore, info: ignore, warning: ignore, error: ignore },
    ...decided,
    events: {
      answered: ignore,
      failed: ignore,
      exchanged: ignore,
      wasted: ignore,
      partial: ignore,
      streamed: ignore,
      movedToResponses: ignore,
      parameterChanged: ignore,
      shortened: ignore,
      ...events,
    },
  });
}
