/** An argument is what a caller handed in; a bad one is named, and a misspelt one is told its nearest known name. */

import { TroupeError } from './error.ts'
import type { Millis, WallMillis } from './time.ts'

/** 139 years: longer is a mistake, and leaves no room for microseconds since 1970 in a safe integer. */
export const LONGEST_MS: Millis = 2 ** 42
/** In the year 2248. */
const LATEST_MS: WallMillis = 2 ** 43

export function invalidArgument(message: string, cause?: unknown): TroupeError {
  return new TroupeError('INVALID_ARGUMENT', message, cause === undefined ? {} : { cause })
}

/** Throws `INVALID_ARGUMENT` for an option that `known` lacks; `what` names the thing that takes them. Allocates nothing. */
export function refuseUnknownOptions(what: string, options: object, known: ReadonlySet<string>): void {
  if (typeof options !== 'object' || options === null) throw invalidArgument(`${what} takes an object of options`)
  for (const name in options) {
    if (!known.has(name)) throw invalidArgument(unknownName(`${what} knows no option`, name, known))
  }
}

export function checkDuration(what: string, value: Millis, least: Millis = 0): void {
  if (typeof value === 'number' && value >= least && value <= LONGEST_MS) return
  throw invalidArgument(`${what} is a number of milliseconds from ${least} to ${LONGEST_MS} (139 years)`)
}

export function checkTime(what: string, value: WallMillis): void {
  if (typeof value === 'number' && Math.abs(value) <= LATEST_MS) return
  throw invalidArgument(`${what} is a time in milliseconds since 1970, and before 2248`)
}

export function checkFlag(what: string, value: boolean): void {
  if (typeof value !== 'boolean') throw invalidArgument(`${what} is true or false`)
}

/** A whole number of things that may be none, or Infinity. */
export function checkLimit(what: string, value: number): void {
  if (value === Number.POSITIVE_INFINITY || (Number.isSafeInteger(value) && value >= 0)) return
  throw invalidArgument(`${what} is a whole number from 0, or Infinity`)
}

export function checkFunction(what: string, value: (...given: never) => unknown): void {
  if (typeof value !== 'function') throw invalidArgument(`${what} is a function, not ${typeof value}`)
}

export function checkIterable(what: string, value: Iterable<unknown>): void {
  if (typeof value !== 'object' || value === null || typeof value[Symbol.iterator] !== 'function')
    throw invalidArgument(`${what} takes a list, or something else that can be iterated`)
}

/** A sentence about a name that is not known, with the nearest one that is, or else all of them. */
export function unknownName(complaint: string, name: string, known: Iterable<string>): string {
  const candidates = [...known]
  const near = nearestName(name, candidates)
  const hint = near === undefined ? `known: ${candidates.join(', ')}` : `did you mean '${near}'?`
  return `${complaint} '${name.slice(0, 64)}'; ${hint}`
}

/** The candidate that the fewest edits turn `name` into, unless more than a third of it would change. */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  const wanted = name.toLowerCase()
  let nearest: string | undefined
  let fewest = Math.max(2, Math.floor(name.length / 3)) + 1
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) >= fewest) continue
    const edits = editDistance(wanted, candidate.toLowerCase())
    if (edits < fewest) {
      fewest = edits
      nearest = candidate
    }
  }
  return nearest
}

/** Edits between two texts, where a swap of neighbours is one: optimal string alignment (Damerau 1964), row by row. */
function editDistance(from: string, to: string): number {
  let twoAbove: number[] = []
  let above = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const replaced = (above[column - 1] ?? 0) + (from[row - 1] === to[column - 1] ? 0 : 1)
      const isSwap = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      const swapped = isSwap ? (twoAbove[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY
      current.push(Math.min(replaced, swapped, (above[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1))
    }
    twoAbove = above
    above = current
  }
  return above[to.length] ?? 0
}
