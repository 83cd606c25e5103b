/** The floor is what this machine can do at all: what replication costs with a sync before every acknowledgement and nothing else. */

import { once } from 'node:events'
import { connect as dial } from 'node:net'
import { fileURLToPath } from 'node:url'
import { VALUE_BYTES } from './built.mjs'
import { batchedWriter, KEY_BYTES, onFrames } from './floor-node.mjs'
import { freePorts } from './site.mjs'

const NODE = fileURLToPath(new URL('./floor-node.mjs', import.meta.url))

export const name = 'floor'
export const workloads = ['map.set']

export function missing() {
  return undefined
}

/**
 * @param {import('./site.mjs').Site} site
 * @returns {Promise<number>} the leader's port
 */
export async function serve(site) {
  const [leader = 0, ...followers] = await freePorts(3)
  for (const port of followers) {
    await once(site.fork(NODE, ['follower', String(port), site.folder('floor')]), 'message')
  }
  await once(site.fork(NODE, ['leader', [leader, ...followers].join(','), site.folder('floor')]), 'message')
  return leader
}

/** @param {number} port */
export async function connect(port) {
  const socket = dial(port, '127.0.0.1')
  await once(socket, 'connect')
  const send = batchedWriter(socket)
  /** @type {Map<number, () => void>} */
  const waiting = new Map()
  onFrames(socket, (frame) => {
    const id = frame.readUInt32LE(0)
    waiting.get(id)?.()
    waiting.delete(id)
  })
  const value = Buffer.alloc(VALUE_BYTES)
  let requests = 0
  /** @type {import('./system.d.ts').Operation} */
  const operation = (worker, sequence) => {
    const id = ++requests
    const frame = Buffer.allocUnsafe(8 + KEY_BYTES + VALUE_BYTES)
    frame.writeUInt32LE(frame.length - 4, 0)
    frame.writeUInt32LE(id, 4)
    frame.write(`k${worker}:${sequence % 1000}`.padEnd(KEY_BYTES), 8, 'latin1')
    value.copy(frame, 8 + KEY_BYTES)
    send(frame)
    return new Promise((resolve) => waiting.set(id, () => resolve(undefined)))
  }
  return { begin: () => ({ operation }) }
}
