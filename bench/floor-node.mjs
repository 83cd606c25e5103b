/** A floor node is a bare leader or follower: group commit with fdatasync, opaque values in a Map; no elections, no recovery. */

import { fdatasync, fsyncSync, openSync, write, writeSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'

export const KEY_BYTES = 16
const LOG_BYTES = 256 << 20

/**
 * Calls `handle` with each frame: a length in 4 bytes, then the body.
 * @param {import('node:net').Socket} socket
 * @param {(frame: Buffer) => void} handle
 */
export function onFrames(socket, handle) {
  /** @type {Uint8Array} */
  let rest = new Uint8Array(0)
  socket.setNoDelay(true)
  socket.on('data', (/** @type {Buffer} */ chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (bytes.length - at >= 4) {
      const length = bytes.readUInt32LE(at)
      if (bytes.length - at - 4 < length) break
      handle(bytes.subarray(at + 4, at + 4 + length))
      at += 4 + length
    }
    rest = bytes.subarray(at)
  })
}

/**
 * Sends the frames of an event-loop turn in one write.
 * @param {import('node:net').Socket} socket
 * @returns {(frame: Buffer) => void}
 */
export function batchedWriter(socket) {
  /** @type {Buffer[]} */
  let queue = []
  return (frame) => {
    if (queue.push(frame) > 1) return
    setImmediate(() => {
      const batch = queue
      queue = []
      socket.write(Buffer.concat(batch))
    })
  }
}

/** @param {string} path */
function groupCommitLog(path) {
  const file = openSync(path, 'w')
  writeSync(file, Buffer.alloc(LOG_BYTES))
  fsyncSync(file)
  /** @type {Buffer[]} */
  let pending = []
  /** @type {(() => void)[]} */
  let callbacks = []
  let busy = false
  let position = 0
  const flush = () => {
    if (busy || pending.length === 0) return
    busy = true
    const bytes = Buffer.concat(pending)
    const done = callbacks
    pending = []
    callbacks = []
    if (position + bytes.length > LOG_BYTES) position = 0
    write(file, bytes, 0, bytes.length, position, () =>
      fdatasync(file, () => {
        busy = false
        position += bytes.length
        for (const callback of done) callback()
        flush()
      }),
    )
  }
  /** @type {(bytes: Buffer, durable: () => void) => void} */
  return (bytes, durable) => {
    pending.push(bytes)
    callbacks.push(durable)
    setImmediate(flush)
  }
}

/** @param {number} id */
function reply(id) {
  const frame = Buffer.allocUnsafe(8)
  frame.writeUInt32LE(4, 0)
  frame.writeUInt32LE(id, 4)
  return frame
}

/**
 * @param {number} port
 * @param {string} folder
 */
function follow(port, folder) {
  const append = groupCommitLog(join(folder, `floor-${port}`))
  /** @type {Map<string, Buffer>} */
  const state = new Map()
  const server = createServer((socket) => {
    const send = batchedWriter(socket)
    onFrames(socket, (frame) => {
      const batch = Buffer.from(frame)
      append(batch, () => {
        send(reply(batch.readUInt32LE(0)))
        for (let at = 4; at < batch.length; at += 4 + batch.readUInt32LE(at)) {
          const value = batch.subarray(at + 8 + KEY_BYTES, at + 4 + batch.readUInt32LE(at))
          state.set(batch.toString('latin1', at + 8, at + 8 + KEY_BYTES), value)
        }
      })
    })
  })
  server.listen(port, '127.0.0.1', () => process.send?.('up'))
}

/**
 * @param {number} port
 * @param {number[]} followers
 * @param {string} folder
 */
function lead(port, followers, folder) {
  const append = groupCommitLog(join(folder, 'floor-leader'))
  const commit = committer()
  const sends = followers.map((follower, at) => {
    const socket = connect(follower, '127.0.0.1')
    onFrames(socket, (frame) => commit.durable(at + 1, frame.readUInt32LE(0)))
    return batchedWriter(socket)
  })
  /** @type {[(frame: Buffer) => void, Buffer][]} */
  let queue = []
  const propose = () => {
    const batch = queue
    queue = []
    const index = commit.begin(batch)
    const header = Buffer.allocUnsafe(8)
    const body = Buffer.concat(batch.map(([, command]) => command))
    header.writeUInt32LE(body.length + 4, 0)
    header.writeUInt32LE(index, 4)
    const entry = Buffer.concat([header, body])
    for (const send of sends) send(entry)
    append(entry, () => commit.durable(0, index))
  }
  const server = createServer((socket) => {
    const send = batchedWriter(socket)
    onFrames(socket, (frame) => {
      const command = Buffer.allocUnsafe(frame.length + 4)
      command.writeUInt32LE(frame.length, 0)
      frame.copy(command, 4)
      if (queue.push([send, command]) === 1) setImmediate(propose)
    })
  })
  server.listen(port, '127.0.0.1', () => process.send?.('up'))
}

/** Answers a batch when two of the three have it on disk. */
function committer() {
  /** @type {Map<string, Buffer>} */
  const state = new Map()
  /** @type {Map<number, [(frame: Buffer) => void, Buffer][]>} */
  const batches = new Map()
  const match = [0, 0, 0]
  let last = 0
  let committed = 0
  return {
    /** @param {[(frame: Buffer) => void, Buffer][]} batch */
    begin(batch) {
      batches.set(++last, batch)
      return last
    },
    /**
     * @param {number} node
     * @param {number} index
     */
    durable(node, index) {
      match[node] = index
      const [, majority = 0] = [...match].sort((a, b) => a - b)
      while (committed < majority) {
        const batch = batches.get(++committed) ?? []
        batches.delete(committed)
        for (const [send, command] of batch) {
          state.set(command.toString('latin1', 8, 8 + KEY_BYTES), command.subarray(8 + KEY_BYTES))
          send(reply(command.readUInt32LE(4)))
        }
      }
    },
  }
}

const [role, ports = '', folder = ''] = process.argv.slice(2)
const [own = 0, ...others] = ports.split(',').map(Number)
if (role === 'follower') follow(own, folder)
if (role === 'leader') lead(own, others, folder)
