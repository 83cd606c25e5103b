/** What a test has of an application process: its events as they come, and its death. */

import { fileURLToPath } from 'node:url'
import type { Task } from './application.mjs'
import { OsProcess, until } from './os-process.ts'

const APPLICATION = fileURLToPath(new URL('./application.mjs', import.meta.url))

export interface ApplicationEvent {
  readonly type: string
  readonly [detail: string]: unknown
}

export class Application extends OsProcess {
  constructor(task: Task) {
    super(process.execPath, [APPLICATION, JSON.stringify(task)])
  }

  /** What it has said so far. */
  get events(): readonly ApplicationEvent[] {
    const lines = this.stdout.slice(0, this.stdout.lastIndexOf('\n') + 1).split('\n')
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line))
  }

  count(type: string): number {
    return this.events.filter((event) => event.type === type).length
  }

  /** Resolves when it has said `times` events of the type. */
  async hasSaid(type: string, times = 1): Promise<void> {
    await until(() => {
      if (!this.isRunning) throw new Error(`it ended without saying '${type}': ${this.stderr}`)
      return this.count(type) >= times
    })
  }
}
