/** Troupe as it is started by default: three nodes with their logs on disk, synced by a majority before an acknowledgement. */

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { built, VALUE_BYTES } from './built.mjs'
import { eventually, freePorts } from './site.mjs'

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))

export const name = 'troupe'
export const workloads = ['map.set', 'map.get linearizable']

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
  /** @type {typeof import('../src/platform/open.ts')} */
  const { open } = await built('platform/open')
  /** @type {typeof import('../src/cli/workload.ts')} */
  const { operationOf } = await built('cli/workload')
  const troupe = await eventually(() => open({ connect: addresses }), 20_000)
  await eventually(() => operationOf(troupe, 'map.set', 1)(0, 0), 20_000)
  return {
    /** @param {import('./system.d.ts').WorkloadName} workload */
    operation: (workload) => operationOf(troupe, workload, VALUE_BYTES),
  }
}
