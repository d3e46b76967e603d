/** A row that can't become a prompt; the message says why, without naming the row. */
export class RowProblem extends Error {}
