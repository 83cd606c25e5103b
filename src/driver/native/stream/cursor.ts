/** A cursor is the place of a watch in every shard, as text that a program can keep. */

import { invalidArgument } from '../../../base/argument.ts'

const PATTERN = /^w1(?:\.[0-9a-z]{1,11})+$/

/** Cursor: `w1` and the revision reached in each shard, in the order of the shards and to the base of 36, between dots. */
export class Cursor {
  readonly #positions: string[]

  constructor(positions: readonly number[]) {
    this.#positions = positions.map((position) => position.toString(36))
  }

  advance(shard: number, revision: number): void {
    this.#positions[shard] = revision.toString(36)
  }

  toString(): string {
    return `w1.${this.#positions.join('.')}`
  }
}

/** Throws `INVALID_ARGUMENT` for a text that is no cursor. */
export function readCursor(text: string): readonly number[] {
  const positions = PATTERN.test(text) ? text.split('.').slice(1).map(readPosition) : []
  if (positions.length === 0 || !positions.every(Number.isSafeInteger)) throw invalidCursor(text)
  return positions
}

export function invalidCursor(text: string): Error {
  return invalidArgument(`'${text.slice(0, 64)}' is no cursor of a watch of this cluster`)
}

function readPosition(text: string): number {
  return Number.parseInt(text, 36)
}
