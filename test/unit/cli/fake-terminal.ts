/** A terminal with a cluster in memory behind it, which outlives the commands. */

import { SeededRandom } from '../../../src/base/random.ts'
import type { Client, Terminal } from '../../../src/cli/command.ts'
import { run } from '../../../src/cli/run.ts'
import { RealClock, RealScheduler } from '../../../src/platform/clock.ts'
import { memoryDriver } from '../../../src/platform/memory.ts'
import { createTroupe, type Troupe } from '../../../src/runtime/troupe.ts'

const clock = new RealClock()

export class FakeTerminal implements Terminal {
  readonly environment: Record<string, string | undefined> = {}
  readonly out: string[] = []
  readonly errors: string[] = []
  readonly #interrupt = new AbortController()
  readonly troupe: Troupe = createTroupe({
    driver: memoryDriver(),
    clock,
    scheduler: new RealScheduler(clock),
    random: new SeededRandom(1),
  })
  connectedTo: readonly string[] = []
  closed = 0
  stdin = ''

  async print(line: string): Promise<void> {
    this.out.push(line)
  }
  complain(line: string): void {
    this.errors.push(line)
  }
  async input(): Promise<string> {
    return this.stdin
  }
  interruption(): AbortSignal {
    return this.#interrupt.signal
  }
  interrupt(): void {
    this.#interrupt.abort()
  }
  async connect(addresses: readonly string[]): Promise<Client> {
    this.connectedTo = addresses
    const { troupe } = this
    return {
      map: (definition) => troupe.map(definition),
      queue: (definition) => troupe.queue(definition),
      queues: (options) => troupe.queues(options),
      topic: (definition) => troupe.topic(definition),
      topics: (options) => troupe.topics(options),
      subscribe: (pattern, options) => troupe.subscribe(pattern, options),
      schedule: (queue, id, time, options) => troupe.schedule(queue, id, time, options),
      unschedule: (queue, id, options) => troupe.unschedule(queue, id, options),
      pauseSchedule: (queue, id, options) => troupe.pauseSchedule(queue, id, options),
      resumeSchedule: (queue, id, options) => troupe.resumeSchedule(queue, id, options),
      schedules: (options) => troupe.schedules(options),
      lock: (name, options) => troupe.lock(name, options),
      locks: (options) => troupe.locks(options),
      observe: (name, options) => troupe.observe(name, options),
      status: (options) => troupe.status(options),
      close: async () => {
        this.closed++
      },
    }
  }
  /** Runs a line whose words have no blanks in them, or the words themselves. */
  run(line: string | readonly string[]): Promise<number> {
    this.out.length = 0
    this.errors.length = 0
    return run(typeof line === 'string' ? line.split(' ') : line, this, '1.2.3')
  }
}
