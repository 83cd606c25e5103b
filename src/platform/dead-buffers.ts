/** Dead buffers are array buffers that nobody has any more and that V8 has not given back yet. */

import { setImmediate } from 'node:timers'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { MessageChannel, type MessagePort } from 'node:worker_threads'

const MEBIBYTE = 2 ** 20
/** After so many bytes of large frames there is a collection of what is young. V8 by itself waits for 32 MiB of buffers. */
const YOUNG_BYTES = MEBIBYTE
/** What may gather of those that lived a little longer, for which V8 looks when its heap has doubled. */
const OLD_BYTES = 6 * MEBIBYTE

type Collection = 'young' | 'everything'

/**
 * Gives back what large frames leave behind. To collect what is young takes a millisecond or less, everything takes ten to forty and
 * is needed a few times in the life of a process. It changes flags of V8 for a moment, so it is for a process of our own.
 */
export class DeadBuffers {
  readonly #collect: (what: Collection) => void = collection()
  readonly #nowhere: MessagePort = new MessageChannel().port1
  /** Bytes of large frames since the last collection. */
  #bytes = 0
  /** The least that buffers took since everything was collected. */
  #settled = Number.POSITIVE_INFINITY

  constructor() {
    this.#nowhere.close()
  }

  /** A large frame of so many bytes has come or left: its buffers are dead now, or at the end of this turn. */
  passed(bytes: number): void {
    const isDue = this.#bytes >= YOUNG_BYTES
    this.#bytes += bytes
    if (!isDue && this.#bytes >= YOUNG_BYTES) setImmediate(() => this.#look())
  }

  /** Gives this one back at once. Nobody may have it, or a view of it. */
  giveBack(buffer: ArrayBuffer): void {
    // Transferred with a message to nobody, it goes with the message.
    this.#nowhere.postMessage(undefined, [buffer])
  }

  #look(): void {
    this.#bytes = 0
    const taken = getHeapStatistics().external_memory
    this.#settled = Math.min(this.#settled, taken)
    const isOld = taken > this.#settled + OLD_BYTES
    this.#collect(isOld ? 'everything' : 'young')
    if (isOld) this.#settled = Number.POSITIVE_INFINITY
  }
}

function collection(): (what: Collection) => void {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('globalThis.gc')
  setFlagsFromString('--no-expose-gc')
  if (typeof collect !== 'function') return () => {}
  return (what) => (what === 'young' ? collect({ type: 'minor' }) : collect())
}
