/** Numbers in order, written as Slurm writes them: `0-5,7,9-11`. */
export function ranges(numbers: readonly number[]): string {
  const parts: string[] = [];
  for (let first = 0; first < numbers.length;) {
    let last = first;
    while (numbers[last + 1] === (numbers[last] ?? NaN) + 1) last += 1;
    parts.push(first === last ? String(numbers[first]) : `${numbers[first] ?? 0}-${numbers[last] ?? 0}`);
    first = last + 1;
  }
  return parts.join(',');
}
