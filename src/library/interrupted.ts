import { EXIT, UserError } from '../lib/errors.js';

/** The run was ended by its signal. What had arrived is saved, and `resume: true` continues it. */
export class RunInterrupted extends UserError {
  override readonly name = 'RunInterrupted';

  constructor() {
    super('The run was stopped. What had arrived is saved; continue with resume: true.', EXIT.interrupted);
  }
}
