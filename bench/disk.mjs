/**
 * The disk's own limit is what a durable write costs when nothing else happens: of records as large as a logged
 * message, in the quickest way there is.
 */

import { closeSync, constants, fdatasyncSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { VALUE_BYTES } from './built.mjs'

export const name = 'disk'
export const workloads = ['queue.send', 'queue.sendAll']

/** About what the log adds to a message. */
const HEAD_BYTES = 64
const FILE_BYTES = 64 << 20
const PAGE_BYTES = 4096

export function missing() {
  return undefined
}

/** @param {import('./site.mjs').Site} site */
export async function serve(site) {
  return site.folder('disk')
}

/** @param {string} folder */
export async function connect(folder) {
  const path = join(folder, 'records')
  const created = openSync(path, 'w')
  writeSync(created, Buffer.alloc(FILE_BYTES))
  fsyncSync(created)
  closeSync(created)
  const put = directly(path) ?? throughTheCache(path)
  let position = 0
  /** @type {(records: number) => Promise<void>} */
  const append = async (records) => {
    const bytes = records * (HEAD_BYTES + VALUE_BYTES)
    if (position + bytes + PAGE_BYTES > FILE_BYTES) position = 0
    put(position, bytes)
    position += bytes
  }
  /** @type {import('./system.d.ts').SystemClient} */
  const measured = { begin: ({ inflight }) => ({ operation: () => append(inflight), batch: inflight }) }
  return measured
}

/** Writes the pages in which the bytes stand, from memory that begins at a page. @param {string} path */
function directly(path) {
  const { O_WRONLY, O_DSYNC, O_DIRECT } = constants
  /** @type {number} */
  let file
  try {
    file = openSync(path, O_WRONLY | O_DSYNC | O_DIRECT)
  } catch {
    return undefined
  }
  // Node has it, and its types leave it to the ones of a browser.
  const { Memory } = Reflect.get(globalThis, 'WebAssembly')
  const pages = new Uint8Array(new Memory({ initial: 64 }).buffer).fill(1)
  /** @type {(position: number, bytes: number) => void} */
  return (position, bytes) => {
    const begin = position - (position % PAGE_BYTES)
    const end = Math.ceil((position + bytes) / PAGE_BYTES) * PAGE_BYTES
    writeSync(file, pages, 0, end - begin, begin)
  }
}

/** @param {string} path */
function throughTheCache(path) {
  const file = openSync(path, 'r+')
  const content = Buffer.alloc(4 << 20, 1)
  /** @type {(position: number, bytes: number) => void} */
  return (position, bytes) => {
    writeSync(file, content, 0, bytes, position)
    fdatasyncSync(file)
  }
}
