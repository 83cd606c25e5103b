/** Key names number the keys of a queue's messages: all else about a key is found by its number. */

import { resized, roomFor } from './column.ts'

/** The number of `''`, which is no key. */
export const NO_KEY = 0

/** A name keeps its number while some message has it; numbers are used again. */
export class KeyNames {
  readonly #numbers: Map<string, number> = new Map()
  readonly #names: string[] = ['']
  /** Messages of each key. */
  #counts: Uint32Array = new Uint32Array(1)
  readonly #free: number[] = []

  /** All numbers are below. */
  get end(): number {
    return this.#names.length
  }

  /** The number of one more message's key. */
  take(name: string): number {
    if (name === '') return NO_KEY
    let number = this.#numbers.get(name)
    if (number === undefined) {
      number = this.#free.pop() ?? this.#names.length
      this.#numbers.set(name, number)
      this.#names[number] = name
      if (number >= this.#counts.length) {
        this.#counts = resized(this.#counts, new Uint32Array(roomFor(number, this.#counts.length)))
      }
    }
    this.#counts[number] = (this.#counts[number] ?? 0) + 1
    return number
  }

  /** A message gives its number back. */
  release(number: number): void {
    if (number === NO_KEY) return
    const count = (this.#counts[number] ?? 0) - 1
    this.#counts[number] = count
    if (count > 0) return
    this.#numbers.delete(this.name(number))
    this.#names[number] = ''
    this.#free.push(number)
  }

  name(number: number): string {
    return this.#names[number] ?? ''
  }

  /** A copy, by number. */
  all(): readonly string[] {
    return this.#names.slice()
  }
}
