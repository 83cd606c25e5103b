/** The head of a log is how far it is known to reach, noted beside it: a log that lost its end looks whole. */

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import type { Disk, Done } from '../port.ts'
import { SealedFile } from '../sealed-file.ts'

/** What the disk has confirmed: the newest segment that holds any of it, and the last batch; 0 before there is one. */
export interface LogEnd {
  readonly segment: number
  readonly sequence: number
}

const NAME = 'head'
const NOWHERE: LogEnd = { segment: 0, sequence: 0 }

export class LogHead {
  readonly #file: SealedFile
  #noted: LogEnd = NOWHERE
  #isNoting = false
  /** What is to be noted after what is being noted. */
  #next: (() => void) | undefined

  constructor(disk: Disk) {
    this.#file = new SealedFile(disk, { name: NAME, format: 2 })
  }

  /** Whether a directory has one: since before it was claimed. */
  static isIn(disk: Disk): boolean {
    return disk.list().includes(NAME)
  }

  /** Notes that there is no log yet. */
  begin(done: Done): void {
    this.#note(NOWHERE, done)
  }

  /** What was noted last. Throws `DATA_DAMAGED`, `VERSION_SKEW`. */
  read(): LogEnd {
    const content = this.#file.read()
    if (content === undefined) return this.#noted
    const reader = new ByteReader(content)
    // Format 1 had no sequence.
    this.#noted = { segment: reader.u53(), sequence: reader.remaining > 0 ? reader.u53() : 0 }
    return this.#noted
  }

  /** Notes that the log has come to another segment. It may lag: of what comes while it writes, the last counts. */
  note(end: LogEnd, done: Done): void {
    if (end.segment > this.#noted.segment && !this.#isNoting) this.#note(end, done)
  }

  /** Notes where a log ends that is being closed. */
  conclude(end: LogEnd, done: Done): void {
    if (this.#isNoting) this.#next = () => this.#note(end, done)
    else this.#note(end, done)
  }

  #note(end: LogEnd, done: Done): void {
    this.#isNoting = true
    const writer = new ByteWriter(16)
    writer.u53(end.segment)
    writer.u53(end.sequence)
    this.#file.replace(writer.take(), (error) => {
      this.#isNoting = false
      if (error === undefined) this.#noted = end
      done(error)
      const next = this.#next
      this.#next = undefined
      next?.()
    })
  }
}
