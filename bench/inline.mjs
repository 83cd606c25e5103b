/** Inline, the embedded node runs on the application's own event loop: no message has to wake another thread. */

import { built } from './built.mjs'
import { runsOf } from './troupe-runs.mjs'

export const name = 'inline'
export { missing, workloads } from './embedded.mjs'

/** @param {import('./site.mjs').Site} site */
export async function serve(site) {
  return site.folder('inline')
}

/** @param {string} dataDir */
export async function connect(dataDir) {
  /** @type {typeof import('../src/index.ts')} */
  const { open } = await built('index')
  return runsOf(await open({ dataDir, engine: 'inline' }))
}
