/** Differing are those settings of a dataset whose values are others: a number with a bit for each. */

export function differing<Settings extends object>(
  before: Settings,
  now: Settings,
  fields: readonly (keyof Settings)[],
): number {
  return fields.reduce((bits, field, at) => (isSame(before[field], now[field]) ? bits : bits + 2 ** at), 0)
}

/** The fields of such a number. */
export function fieldsOf<Field>(bits: number, fields: readonly Field[]): readonly Field[] {
  return fields.filter((_, at) => Math.floor(bits / 2 ** at) % 2 === 1)
}

/** Numbers, texts, flags, and records of numbers. */
function isSame(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === 'object' && JSON.stringify(a) === JSON.stringify(b))
}
