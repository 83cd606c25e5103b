/** Embedded, Troupe is one node within the application's process: alone with its disk, which it syncs before it answers. */

import { built } from './built.mjs'
import { runsOf } from './troupe-runs.mjs'

export const name = 'embedded'
export { workloads } from './troupe-runs.mjs'

export function missing() {
  return undefined
}

/** @param {import('./site.mjs').Site} site */
export async function serve(site) {
  return site.folder('embedded')
}

/** @param {string} dataDir */
export async function connect(dataDir) {
  /** @type {typeof import('../src/index.ts')} */
  const { open } = await built('index')
  return runsOf(await open({ dataDir }))
}
