/** The built package and the peers' clients are loaded by computed names: neither is there before it is needed. */

import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const require = createRequire(import.meta.url)

export const VALUE_BYTES = 256

const CLIENTS = ['etcd3', '@nats-io/kv', '@nats-io/jetstream', '@nats-io/transport-node', 'amqplib']

/**
 * A module of `dist`.
 * @param {string} module such as `cli/measure`
 */
export function built(module) {
  return import(new URL(`../dist/${module}.js`, import.meta.url).href)
}

/**
 * A package of this folder's own `node_modules`, which {@link installClients} fills.
 * @param {string} name
 */
export function client(name) {
  return import(pathToFileURL(require.resolve(name)).href)
}

/** Installs the peers' clients from this folder's lockfile, unless they are there; says what failed. */
export function installClients() {
  try {
    for (const name of CLIENTS) require.resolve(name)
    return undefined
  } catch {
    console.error("Installing the peers' clients (npm ci in bench/) …")
    const npm = process.env.npm_execpath
    const [command, words] = npm?.endsWith('.js') ? [process.execPath, [npm, 'ci']] : ['npm', ['ci']]
    const { status } = spawnSync(command, words, {
      cwd: here,
      stdio: ['ignore', 2, 2],
      shell: process.platform === 'win32',
    })
    return status === 0 ? undefined : "npm ci failed in bench/: the peers' clients are missing"
  }
}

/**
 * Where a program is, as a shell would find it; servers often live where users do not look.
 * @param {string} program
 * @param {string[]} [first] folders that are looked at before the others
 */
export function find(program, first = []) {
  const folders = `${process.env.PATH}${delimiter}/usr/sbin`.split(delimiter)
  return [...first, ...folders].map((folder) => join(folder, program)).find(isExecutable)
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
