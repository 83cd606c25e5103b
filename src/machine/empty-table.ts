/** An empty table has no state and knows no commands: what stands where a table of some type is not there yet. */

import { type ByteReader, malformed } from '../base/bytes.ts'
import type { LeaderMicros } from './batch.ts'
import { STATUS } from './command.ts'
import type { FrozenTable, Table, Task } from './table.ts'

export class EmptyTable implements Table {
  readonly type: number
  readonly dueAt: LeaderMicros = Number.POSITIVE_INFINITY
  readonly version: number = 0

  constructor(type: number) {
    this.type = type
  }

  run(task: Task): void {
    task.outcome.status = STATUS.unsupported
    task.outcome.revision = 0
  }

  check(task: Task): void {
    this.run(task)
  }

  apply(task: Task): void {
    this.run(task)
  }

  query(): boolean {
    return false
  }

  advance(): void {}

  freeze(): FrozenTable {
    return { sections: () => [], release(): void {} }
  }

  load(section: ByteReader): void {
    throw malformed(`a section of ${section.remaining} bytes is of a table that this version does not have`)
  }
}
