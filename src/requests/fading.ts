/** Mean and variance of the latest values; older ones fade. */
export class FadingStatistics {
  /** Values that were added in all. */
  count = 0;
  /** 0 before the first value. */
  mean = 0;
  variance = 0;

  /** @param memory values that are remembered */
  constructor(private readonly memory: number) {}

  add(value: number): void {
    this.count += 1;
    const weight = 1 / this.remembered;
    const difference = value - this.mean;
    this.mean += weight * difference;
    this.variance = (1 - weight) * (this.variance + weight * difference * difference);
  }

  /** Values that mean and variance are of. */
  get remembered(): number {
    return Math.min(this.count, this.memory);
  }
}
