/** An assertion is a statement about the program itself that stays checked in production. */

/** Thrown when the program contradicts itself. Never caught to go on: the node stops, because its state can't be trusted. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

/** Throws {@link AssertionError} unless `condition` holds; `message` states what should have been true. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(`assertion failed: ${message}`)
}

/** The value, which the surrounding invariants say is there. */
export function required<Value>(value: Value | undefined, what: string): Value {
  if (value === undefined) throw new AssertionError(`assertion failed: ${what} is missing`)
  return value
}
