/** An inbox is where what arrives by itself waits for the workers of a closed loop, who ask for it one by one. */

import { VALUE_BYTES } from './built.mjs'

/** Nothing for so long means that nothing will come. */
const SILENCE_MS = 10_000
const FILLERS = 512

/** @typedef {(() => Promise<unknown> | undefined) | undefined} Settle */

export class Inbox {
  /** @type {Settle[]} */
  #arrived = []
  /** @type {{ resolve: (settle: Settle) => void, reject: (error: Error) => void }[]} */
  #waiting = []
  /** @type {NodeJS.Timeout | undefined} */
  #silence
  #heard = 0

  /**
   * Something has arrived.
   * @param {Settle} settle how whoever takes it is done with it
   */
  push(settle) {
    this.#heard += 1
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#arrived.push(settle)
    else waiting.resolve(settle)
  }

  /**
   * Several have arrived, whose taker settles them all with the last; resolves when they are.
   * @param {number} count
   * @param {() => Promise<unknown>} settle
   */
  pushAll(count, settle) {
    return new Promise((resolve, reject) => {
      for (let at = 1; at < count; at++) this.push(undefined)
      this.push(() => settle().then(resolve, reject))
    })
  }

  /** An operation: the next that arrives is taken and settled. */
  operation = async () => {
    const settle = await this.#take()
    await settle?.()
  }

  /**
   * Nothing arrives any more: whoever waits learns why.
   * @param {Error} error
   */
  fail(error) {
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }

  /** @param {() => Promise<unknown>} ending ends what fills it */
  async end(ending) {
    clearTimeout(this.#silence)
    await ending()
  }

  /** Somebody waits: one timer for all of them, begun anew whenever it has run. */
  #listen() {
    if (this.#silence !== undefined) return
    const heard = this.#heard
    this.#silence = setTimeout(() => {
      this.#silence = undefined
      if (this.#heard === heard) this.fail(new Error(`nothing arrived for ${SILENCE_MS / 1000} s`))
      else if (this.#waiting.length > 0) this.#listen()
    }, SILENCE_MS)
  }

  /** @returns {Promise<Settle>} */
  #take() {
    if (this.#arrived.length > 0) return Promise.resolve(this.#arrived.shift())
    this.#listen()
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }
}

/** A roundtrip ends when what a worker has sent was received, by whoever, and acknowledged. */
export class Roundtrips {
  /** @type {(() => void)[]} */
  #arrivals = []
  #send

  /** @param {(payload: Buffer) => Promise<unknown>} send */
  constructor(send) {
    this.#send = send
  }

  /** @type {import('./system.d.ts').Operation} */
  operation = (worker) => {
    const payload = Buffer.alloc(VALUE_BYTES)
    payload.writeUInt32LE(worker)
    const arrival = /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        this.#arrivals[worker] = resolve
      })
    )
    return Promise.all([this.#send(payload), arrival])
  }

  /** @param {Uint8Array} payload of what has been received and acknowledged */
  arrived(payload) {
    this.#arrivals[Buffer.from(payload.buffer, payload.byteOffset, 4).readUInt32LE()]?.()
  }
}

/**
 * Does an operation so many times, as fast as many at once are.
 * @param {number} count
 * @param {() => Promise<unknown>} operation
 * @param {number} [workers]
 */
export async function repeat(count, operation, workers = FILLERS) {
  let begun = 0
  const work = async () => {
    while (begun++ < count) await operation()
  }
  await Promise.all(Array.from({ length: workers }, work))
}
