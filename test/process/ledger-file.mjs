/** A ledger file is what one process saw of a queue, event by event; what is written survives a kill -9 of its writer. */

import { openSync, writeSync } from 'node:fs'

/**
 * What a producer or consumer was told. `unsure`: a send without an answer, made again without anything that recognizes
 * it. `refused`: the lease was over. `failed`: the settlement did certainly not happen. `unanswered`: it may have
 * happened.
 */
export const KINDS = /** @type {const} */ ([
  'sent',
  'unsure',
  'delivered',
  'acknowledging',
  'acknowledged',
  'retrying',
  'retried',
  'refused',
  'failed',
  'unanswered',
  'lost',
])

/** `[kind u8, attempt u8, 0 u16, key u32, serial u32, delivery u32, id f64, at f64, token f64, until f64]`, lowest byte first. */
export const RECORD_BYTES = 48

/**
 * @typedef {typeof KINDS[number]} EventKind
 * @typedef {object} Subject
 * @property {number} key
 * @property {number} serial which of its key's messages, from 0
 * @property {number} id the queue's own number of the message, which grows within a key; 0 when it is not known
 * @property {number} delivery which of its process's deliveries, from 1; 0 when it is about none
 * @property {number} attempt of a delivery; otherwise 0
 * @property {number} token of its lease, which names the term of the leader that gave it; otherwise 0
 * @property {number} until when that lease ends at the earliest, as far as its consumer knows; otherwise 0
 */

/** Milliseconds of a clock that all processes of this machine share. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6
}

export class LedgerFile {
  #descriptor
  #bytes = Buffer.alloc(RECORD_BYTES * 1024)
  #length = 0
  /** @type {Promise<void> | undefined} */
  #written

  /** @param {string} path */
  constructor(path) {
    this.#descriptor = openSync(path, 'a')
  }

  /**
   * @param {EventKind} kind
   * @param {Subject} subject
   */
  note(kind, { key, serial, id, delivery, attempt, token, until }) {
    if (this.#length === this.#bytes.length) this.flush()
    const at = this.#length
    this.#bytes.writeUInt8(KINDS.indexOf(kind), at)
    this.#bytes.writeUInt8(Math.min(attempt, 255), at + 1)
    this.#bytes.writeUInt32LE(key, at + 4)
    this.#bytes.writeUInt32LE(serial, at + 8)
    this.#bytes.writeUInt32LE(delivery, at + 12)
    this.#bytes.writeDoubleLE(id, at + 16)
    this.#bytes.writeDoubleLE(now(), at + 24)
    this.#bytes.writeDoubleLE(token, at + 32)
    this.#bytes.writeDoubleLE(until, at + 40)
    this.#length += RECORD_BYTES
  }

  /** Resolves when everything of this turn is with the operating system. */
  written() {
    this.#written ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#written = undefined
        this.flush()
        resolve()
      })
    })
    return this.#written
  }

  flush() {
    if (this.#length > 0) writeSync(this.#descriptor, this.#bytes, 0, this.#length)
    this.#length = 0
  }
}
