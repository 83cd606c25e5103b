/** Results are waited for on one watch for each queue and shard; who is woken asks what there is. */

import { TroupeError } from '../../../base/error.ts'
import { DEFAULT_TIMEOUT_MS, type Millis, type Timer } from '../../../base/time.ts'
import { RESULT_MAP, resultKey } from '../../../machine/queue/command.ts'
import type { CallOptions, InspectedMessage } from '../../contract.ts'
import { deadLetter } from '../../dead-letter.ts'
import type { Router } from '../route/router.ts'
import type { WatchPorts } from '../stream/shard-watch.ts'
import { watch } from '../stream/watch.ts'

/** Ends without a result are announced nowhere, so they are looked for. */
const LOOK_MS: Millis = 1000

export interface Awaited {
  readonly queue: string
  readonly shard: number
  readonly number: number
  readonly id: string
  /** What is known of the message now. */
  readonly inspect: (options: CallOptions) => Promise<InspectedMessage | undefined>
}

export class Results {
  readonly #router: Router
  readonly #ports: WatchPorts
  readonly #watches = new Map<string, ResultWatch>()

  constructor(router: Router, ports: WatchPorts) {
    this.#router = router
    this.#ports = ports
  }

  async wait(awaited: Awaited, options: CallOptions): Promise<Uint8Array | undefined> {
    const { clock } = this.#ports
    const { queue, shard, number, id } = awaited
    const deadline = clock.now() + (options.timeout ?? DEFAULT_TIMEOUT_MS)
    const name = `${shard} ${queue}`
    const results = this.#watches.get(name) ?? new ResultWatch(this.#router, this.#ports, { queue, shard })
    this.#watches.set(name, results)
    const seeker = results.join(resultKey(queue, number))
    try {
      for (;;) {
        seeker.isWoken = false
        const left = deadline - clock.now()
        if (left <= 0) throw new TroupeError('TIMEOUT', `message ${id} of '${queue}' was not done in time`)
        const found = await awaited.inspect({ ...options, timeout: left })
        if (found === undefined || found.state === 'done') return found?.result
        if (found.state === 'dead') throw deadLetter(queue, found)
        await this.#sleep(seeker, deadline, options.signal)
      }
    } finally {
      if (results.leave(seeker)) this.#watches.delete(name)
    }
  }

  #sleep(seeker: Seeker, deadline: Millis, signal: AbortSignal | undefined): Promise<void> {
    if (seeker.isWoken) return Promise.resolve()
    const { aborts } = this.#router
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        timer.cancel()
        if (signal !== undefined) aborts.remove(aborted, signal)
        seeker.wake = undefined
        settle()
      }
      const aborted = (): void => end(() => reject(signal?.reason))
      const timer = this.#ports.scheduler.at(deadline, () => end(resolve))
      seeker.wake = () => end(resolve)
      if (signal !== undefined) aborts.add(aborted, signal)
    })
  }
}

/** Somebody who waits for the result of one message. */
interface Seeker {
  readonly key: string
  isWoken: boolean
  wake: (() => void) | undefined
}

class ResultWatch {
  readonly #ports: WatchPorts
  readonly #seekers = new Map<string, Set<Seeker>>()
  readonly #end = new AbortController()
  #look: Timer | undefined

  constructor(router: Router, ports: WatchPorts, { queue, shard }: { readonly queue: string; readonly shard: number }) {
    this.#ports = ports
    const range = { map: RESULT_MAP, from: `${queue}\0`, until: `${queue}\x01`, shard }
    // Results are looked for even without the watch, and whoever looks when the driver closes is told.
    const followed = this.#follow(watch(router, ports, range, { signal: this.#end.signal }))
    followed.catch(() => this.#wakeAll())
    this.#lookLater()
  }

  join(key: string): Seeker {
    const seeker: Seeker = { key, isWoken: false, wake: undefined }
    const seekers = this.#seekers.get(key) ?? new Set()
    this.#seekers.set(key, seekers.add(seeker))
    return seeker
  }

  /** Whether nobody is left. */
  leave(seeker: Seeker): boolean {
    const seekers = this.#seekers.get(seeker.key)
    seekers?.delete(seeker)
    if (seekers?.size === 0) this.#seekers.delete(seeker.key)
    if (this.#seekers.size > 0) return false
    this.#end.abort()
    this.#look?.cancel()
    return true
  }

  async #follow(changes: AsyncIterable<{ readonly key: string }>): Promise<void> {
    for await (const { key } of changes) this.#wake(this.#seekers.get(key))
  }

  #lookLater(): void {
    const { clock, scheduler } = this.#ports
    this.#look = scheduler.at(clock.now() + LOOK_MS, () => {
      this.#wakeAll()
      this.#lookLater()
    })
  }

  #wakeAll(): void {
    for (const seekers of this.#seekers.values()) this.#wake(seekers)
  }

  #wake(seekers: ReadonlySet<Seeker> | undefined): void {
    for (const seeker of seekers ?? []) {
      seeker.isWoken = true
      seeker.wake?.()
    }
  }
}
