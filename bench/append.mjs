/** Appending is how most programs write durably: a record at the end of a file that grows, then a sync. */

import { fdatasyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { VALUE_BYTES } from './built.mjs'

export const name = 'append'
export { missing, workloads } from './disk.mjs'

/** @param {import('./site.mjs').Site} site */
export async function serve(site) {
  return site.folder('append')
}

/** @param {string} folder */
export async function connect(folder) {
  const file = openSync(join(folder, 'records'), 'a')
  /** @type {(records: number) => Promise<void>} */
  const append = async (records) => {
    writeSync(file, Buffer.alloc(records * VALUE_BYTES, 1))
    fdatasyncSync(file)
  }
  /** @type {import('./system.d.ts').SystemClient} */
  const measured = { begin: ({ inflight }) => ({ operation: () => append(inflight), batch: inflight }) }
  return measured
}
