/** The disk's own limit is what a write and its sync cost when nothing else happens: records of the size of a logged message. */

import { fdatasyncSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { VALUE_BYTES } from './built.mjs'

export const name = 'disk'
export const workloads = ['queue.send', 'queue.sendAll']

/** About what the log adds to a message. */
const HEAD_BYTES = 64
const FILE_BYTES = 64 << 20

export function missing() {
  return undefined
}

/** @param {import('./site.mjs').Site} site */
export async function serve(site) {
  return site.folder('disk')
}

/** @param {string} folder */
export async function connect(folder) {
  const file = openSync(join(folder, 'records'), 'w')
  writeSync(file, Buffer.alloc(FILE_BYTES))
  fsyncSync(file)
  let position = 0
  /** @type {(records: number) => Promise<void>} */
  const append = async (records) => {
    const bytes = Buffer.alloc(records * (HEAD_BYTES + VALUE_BYTES), 1)
    if (position + bytes.length > FILE_BYTES) position = 0
    writeSync(file, bytes, 0, bytes.length, position)
    fdatasyncSync(file)
    position += bytes.length
  }
  /** @type {import('./system.d.ts').SystemClient} */
  const measured = { begin: ({ inflight }) => ({ operation: () => append(inflight), batch: inflight }) }
  return measured
}
