/** The head of a log is the newest segment that it is known to reach, noted beside it: a log that lost its end looks whole. */

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import type { Disk } from '../port.ts'
import { SealedFile } from '../sealed-file.ts'

type Done = (error: Error | undefined) => void

const NAME = 'head'

export class LogHead {
  readonly #file: SealedFile
  #noted = 0
  #isNoting = false

  constructor(disk: Disk) {
    this.#file = new SealedFile(disk, { name: NAME, format: 1 })
  }

  /** Whether a directory has one: since before it was claimed. */
  static isIn(disk: Disk): boolean {
    return disk.list().includes(NAME)
  }

  /** Notes that there is no log yet. */
  begin(done: Done): void {
    this.#replace(0, done)
  }

  /** The number of the segment; 0 where none was noted. Throws `DATA_DAMAGED`, `VERSION_SKEW`. */
  read(): number {
    const content = this.#file.read()
    this.#noted = content === undefined ? 0 : new ByteReader(content).u53()
    return this.#noted
  }

  /** Notes that the disk has confirmed something in this segment. It may lag: of what comes while it writes, the last counts. */
  note(segment: number, done: Done): void {
    if (segment <= this.#noted || this.#isNoting) return
    this.#isNoting = true
    this.#replace(segment, (error) => {
      this.#isNoting = false
      if (error === undefined) this.#noted = segment
      done(error)
    })
  }

  #replace(segment: number, done: Done): void {
    const writer = new ByteWriter(8)
    writer.u53(segment)
    this.#file.replace(writer.take(), done)
  }
}
