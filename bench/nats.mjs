/** NATS JetStream: three servers, streams with three replicas on files; by its default it acknowledges before it syncs. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { client, find, VALUE_BYTES } from './built.mjs'
import { Inbox, Roundtrips, repeat } from './inbox.mjs'
import { eventually, freePorts } from './site.mjs'

export const name = 'nats'
/** How what is in a stream leaves it. */
const STREAMS = {
  send: 'workqueue',
  receive: 'workqueue',
  roundtrip: 'workqueue',
  publish: 'limits',
  consume: 'limits',
}
/** Messages that are asked for at once; how many are unsettled is limited by themselves. */
const PULLED = 256
/** Longer than any message waits here for a worker, in nanoseconds. */
const ACK_WAIT = 120e9
const value = new Uint8Array(VALUE_BYTES)

export function missing() {
  return find('nats-server') ? undefined : "'nats-server' is not installed (Debian: apt-get install nats-server)"
}

/**
 * @param {import('./site.mjs').Site} site
 * @returns {Promise<string[]>}
 */
export async function serve(site) {
  const clients = await freePorts(3)
  const routes = await freePorts(3)
  const all = routes.map((port) => `nats://127.0.0.1:${port}`).join(', ')
  for (const [at, port] of clients.entries()) {
    const path = join(site.directory, `nats-n${at}.conf`)
    writeFileSync(
      path,
      `server_name: n${at}
listen: 127.0.0.1:${port}
jetstream { store_dir: "${site.folder(`nats-n${at}`)}" }
cluster { name: bench, listen: 127.0.0.1:${routes[at]}, routes: [${all}] }
`,
    )
    site.start(`nats-n${at}`, find('nats-server') ?? 'nats-server', ['-c', path])
  }
  return clients.map((port) => `127.0.0.1:${port}`)
}

/** @param {string[]} servers */
export async function connect(servers) {
  const { connect: dial } = await client('@nats-io/transport-node')
  const { Kvm } = await client('@nats-io/kv')
  const { jetstream, jetstreamManager } = await client('@nats-io/jetstream')
  const connection = await eventually(() => dial({ servers }), 30_000)
  const bucket = await eventually(() => new Kvm(connection).create('bench', { replicas: 3, storage: 'file' }), 30_000)
  const manager = await jetstreamManager(connection)
  for (const [name, retention] of Object.entries(STREAMS)) {
    const settings = { name, subjects: [name], retention, num_replicas: 3, storage: 'file' }
    await eventually(() => manager.streams.add(settings), 30_000)
  }
  const parts = { bucket, manager, stream: jetstream(connection), consumed: { published: 0, readers: 0 } }
  /** @type {import('./system.d.ts').SystemClient} */
  const measured = { begin: ({ workload, inflight }) => runs[workload]?.(parts, inflight) }
  return measured
}

/**
 * @typedef {object} Parts
 * @property {any} bucket
 * @property {any} manager
 * @property {any} stream
 * @property {{ published: number, readers: number }} consumed what the topic to consume holds, and who has read
 */

/** @type {Record<string, (parts: Parts, inflight: number) => any>} */
const runs = {
  'map.set': ({ bucket }) => ({
    operation: (/** @type {number} */ worker, /** @type {number} */ sequence) =>
      bucket.put(`k.${worker}.${sequence % 1000}`, value),
  }),
  'queue.send': (parts) => publish(parts, 'send'),
  'queue.receive+ack': receive,
  'queue.roundtrip': roundtrip,
  'topic.publish': (parts) => publish(parts, 'publish'),
  'topic.consume': read,
}

export const workloads = Object.keys(runs)

/**
 * @param {Parts} parts
 * @param {string} subject
 */
function publish({ manager, stream }, subject) {
  return { operation: () => stream.publish(subject, value), end: () => manager.streams.purge(subject) }
}

/**
 * @param {Parts} parts
 * @param {number} inflight
 */
async function receive(parts, inflight) {
  const { manager, stream } = parts
  const inbox = new Inbox()
  const end = await consume(parts, { from: 'receive', unsettled: inflight }, (message) => {
    inbox.push(async () => message.ack())
  })
  const ending = async () => {
    await end()
    await manager.streams.purge('receive')
  }
  const fill = (/** @type {number} */ count) => repeat(count, () => stream.publish('receive', value))
  return { operation: inbox.operation, fill, end: () => inbox.end(ending) }
}

/** @param {Parts} parts */
async function roundtrip(parts) {
  const trips = new Roundtrips((payload) => parts.stream.publish('roundtrip', payload))
  const limits = { from: 'roundtrip', unsettled: PULLED }
  const end = await consume(parts, limits, (message) => {
    message.ack()
    trips.arrived(message.data)
  })
  return { operation: trips.operation, end }
}

/**
 * One acknowledgement for a batch, as one commit of a group is for one.
 * @param {Parts} parts
 * @param {number} inflight
 */
async function read(parts, inflight) {
  const { stream, consumed } = parts
  const inbox = new Inbox()
  let received = 0
  const limits = { from: 'consume', unsettled: 2 * inflight, policy: 'all' }
  const end = await consume(parts, limits, (message) => {
    received += 1
    inbox.push(received % inflight === 0 ? async () => message.ack() : undefined)
  })
  let wanted = 0
  const fill = async (/** @type {number} */ count) => {
    wanted += count
    await repeat(wanted - consumed.published, () => stream.publish('consume', value))
    consumed.published = Math.max(consumed.published, wanted)
  }
  return { operation: inbox.operation, fill, end: () => inbox.end(end) }
}

/**
 * A durable consumer that pulls in batches, and begins with the first message.
 * @param {Parts} parts
 * @param {{ from: string, unsettled: number, policy?: string }} limits
 * @param {(message: any) => void} receive
 */
async function consume({ manager, stream, consumed }, { from, unsettled, policy = 'explicit' }, receive) {
  const name = `reader-${++consumed.readers}`
  const limits = { ack_policy: policy, ack_wait: ACK_WAIT, max_ack_pending: unsettled }
  await manager.consumers.add(from, { durable_name: name, ...limits })
  const consumer = await stream.consumers.get(from, name)
  const messages = await consumer.consume({ max_messages: PULLED, callback: receive })
  return async () => {
    await messages.close()
    await manager.consumers.delete(from, name)
  }
}
