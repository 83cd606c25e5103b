/** A timeline holds the calls and returns of one key in the order of time; what has been placed is lifted out of it. */

import { required } from '../../base/assert.ts'
import type { Operation } from './history.ts'
import type { Register, SpareRow } from './register.ts'

/** No further operation may come next. */
export const NO_CHOICE = 0

/**
 * A doubly linked list of entries: 2i+1 is the call of operation i, 2i+2 its return, 0 the head and the end. Choices
 * are the calls before the first return, then -1 to -4 for the rows of spares, which stand outside the list.
 */
export class Timeline {
  /** Operations with a known outcome that are still in the list. */
  unreturned = 0
  readonly #operations: readonly Operation[]
  readonly #next: Int32Array
  readonly #previous: Int32Array
  readonly #spares: Readonly<Record<SpareRow, number[]>> & readonly number[][] = [[], [], [], []]
  readonly #used: Record<SpareRow, number> & number[] = [0, 0, 0, 0]
  readonly #rowOf: readonly (SpareRow | undefined)[]

  constructor(register: Register) {
    const { operations } = register
    this.#operations = operations
    this.#rowOf = operations.map((_, number) => register.spareRow(number))
    this.#next = new Int32Array(2 * operations.length + 1)
    this.#previous = new Int32Array(2 * operations.length + 1)
    let last = 0
    for (const entry of this.#sorted()) {
      const row = this.#rowOf[operationOf(entry)]
      if (row !== undefined) {
        this.#spares[row].push(operationOf(entry))
        continue
      }
      this.#next[last] = entry
      this.#previous[entry] = last
      last = entry
    }
    this.#previous[0] = last
  }

  /** How many spares of each row are placed. */
  get used(): readonly number[] {
    return this.#used
  }

  firstChoice(): number {
    return this.#choice(this.#next[0] ?? 0)
  }

  choiceAfter(choice: number): number {
    if (choice > 0) return this.#choice(this.#next[choice] ?? 0)
    return this.#spareChoice(-choice)
  }

  operationAt(choice: number): number {
    if (choice > 0) return operationOf(choice)
    return required(this.#nextSpare(-choice - 1), 'a spare')
  }

  lift(operation: number): void {
    const row = this.#rowOf[operation]
    if (row !== undefined) {
      this.#used[row]++
      return
    }
    this.#remove(2 * operation + 1)
    if (!this.#hasReturn(operation)) return
    this.#remove(2 * operation + 2)
    this.unreturned--
  }

  /** Undoes the latest `lift`. */
  unlift(operation: number): void {
    const row = this.#rowOf[operation]
    if (row !== undefined) {
      this.#used[row]--
      return
    }
    if (this.#hasReturn(operation)) {
      this.#restore(2 * operation + 2)
      this.unreturned++
    }
    this.#restore(2 * operation + 1)
  }

  #choice(entry: number): number {
    return (entry & 1) === 1 ? entry : this.#spareChoice(0)
  }

  #spareChoice(from: number): number {
    for (let row = from; row < this.#spares.length; row++) if (this.#nextSpare(row) !== undefined) return -row - 1
    return NO_CHOICE
  }

  /** The first unused spare of the row, if it was invoked before the first return. */
  #nextSpare(row: number): number | undefined {
    const spare = this.#spares[row]?.[this.#used[row] ?? 0]
    if (spare === undefined) return undefined
    let entry = this.#next[0] ?? 0
    while ((entry & 1) === 1) entry = this.#next[entry] ?? 0
    return entry === 0 || this.#at(spare).invokedAt <= this.#time(entry) ? spare : undefined
  }

  /** At one instant calls come before returns: what touches is concurrent. */
  #sorted(): number[] {
    const entries: number[] = []
    for (let operation = 0; operation < this.#operations.length; operation++) {
      entries.push(2 * operation + 1)
      if (!this.#hasReturn(operation)) continue
      entries.push(2 * operation + 2)
      this.unreturned++
    }
    return entries.sort((a, b) => this.#time(a) - this.#time(b) || (b & 1) - (a & 1) || a - b)
  }

  #time(entry: number): number {
    const operation = this.#at(operationOf(entry))
    return (entry & 1) === 1 ? operation.invokedAt : operation.returnedAt
  }

  #hasReturn(operation: number): boolean {
    return this.#at(operation).outcome === 'ok'
  }

  #at(operation: number): Operation {
    return required(this.#operations[operation], 'an operation of the timeline')
  }

  #remove(entry: number): void {
    const next = this.#next[entry] ?? 0
    const previous = this.#previous[entry] ?? 0
    this.#next[previous] = next
    this.#previous[next] = previous
  }

  #restore(entry: number): void {
    this.#next[this.#previous[entry] ?? 0] = entry
    this.#previous[this.#next[entry] ?? 0] = entry
  }
}

function operationOf(entry: number): number {
  return (entry - 1) >> 1
}
