/** A trace is the running hash of all that happened: two runs of one seed must agree on it to the last bit. */

import { hashBytes, hashNumber, hashText } from '../base/hash.ts'
import type { Clock } from '../base/time.ts'

export class Trace {
  readonly #clock: Clock
  readonly #print: ((line: string) => void) | undefined
  #low = 0
  #high = 1

  /** With `print`, every record is also told as a line of text. */
  constructor(clock: Clock, print?: (line: string) => void) {
    this.#clock = clock
    this.#print = print
  }

  get hash(): string {
    return this.#high.toString(16).padStart(8, '0') + this.#low.toString(16).padStart(8, '0')
  }

  record(what: string, bytes?: Uint8Array): void {
    const now = this.#clock.now()
    this.#mix(hashNumber(Math.floor(now * 1000), hashText(what)))
    if (bytes !== undefined) this.#mix(hashBytes(bytes))
    this.#print?.(`${now.toFixed(3).padStart(12)} ${what}${bytes === undefined ? '' : ` ${bytes.length} bytes`}`)
  }

  #mix(value: number): void {
    this.#low = hashNumber(value, this.#low)
    this.#high = hashNumber(this.#low, this.#high)
  }
}
