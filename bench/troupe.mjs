/** Troupe as it is started by default: three nodes with their logs on disk, synced by a majority before an acknowledgement. */

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { built } from './built.mjs'
import { eventually, freePorts } from './site.mjs'
import { runsOf } from './troupe-runs.mjs'

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))

export const name = 'troupe'
export { workloads } from './troupe-runs.mjs'

export function missing() {
  return undefined
}

/**
 * @param {import('./site.mjs').Site} site
 * @param {string | undefined} profileDirectory
 * @returns {Promise<string[]>}
 */
export async function serve(site, profileDirectory) {
  const addresses = (await freePorts(3)).map((port) => `127.0.0.1:${port}`)
  for (const [at, address] of addresses.entries()) {
    const node = `n${at + 1}`
    // A directory for each node: each of its threads writes a profile there.
    const profile =
      profileDirectory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(profileDirectory, node)}`]
    const place = [
      '--node',
      node,
      '--cluster',
      'bench',
      '--listen',
      address,
      '--data-dir',
      site.folder(`troupe-${node}`),
    ]
    site.start(`troupe-${node}`, process.execPath, [...profile, MAIN, 'start', ...place, '--join', addresses.join(',')])
  }
  return addresses
}

/** @param {string[]} addresses */
export async function connect(addresses) {
  /** @type {typeof import('../src/index.ts')} */
  const { defineMap, open } = await built('index')
  const troupe = await eventually(() => open({ connect: addresses }), 20_000)
  await eventually(() => troupe.map(defineMap('ready')).set('ready', true), 20_000)
  return runsOf(troupe)
}
