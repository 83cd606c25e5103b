/** A batch run is several messages in a worker's hands that one call of a handler works off. */

import { invalidArgument } from '../base/argument.ts'
import type { BatchContext } from './handler.ts'
import type { HandlerRun } from './handler-run.ts'
import type { QueueMessage } from './queue.ts'

export class BatchRun<Value> implements BatchContext<Value> {
  readonly messages: readonly QueueMessage<Value>[]
  readonly #runs: ReadonlyMap<QueueMessage<Value>, HandlerRun>
  readonly #failures = new Map<HandlerRun, unknown>()
  #signal: AbortSignal | undefined

  constructor(runs: ReadonlyMap<QueueMessage<Value>, HandlerRun>) {
    this.messages = [...runs.keys()]
    this.#runs = runs
  }

  get signal(): AbortSignal {
    this.#signal ??= AbortSignal.any([...this.#runs.values()].map((run) => run.signal))
    return this.#signal
  }

  get of(): BatchContext<Value>['of'] {
    return (message) => this.#runOf(message)
  }

  get fail(): BatchContext<Value>['fail'] {
    return (message, error) => {
      this.#failures.set(this.#runOf(message), error)
    }
  }

  /** What was said to be the matter with a message; `error` is undefined also when that was thrown. */
  failureOf(run: HandlerRun): { readonly error: unknown } | undefined {
    return this.#failures.has(run) ? { error: this.#failures.get(run) } : undefined
  }

  #runOf(message: QueueMessage<Value>): HandlerRun {
    const run = this.#runs.get(message)
    if (run === undefined) throw invalidArgument('the message is none of this batch')
    return run
  }
}
