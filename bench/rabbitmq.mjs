/** RabbitMQ: three brokers and quorum queues, so that a confirmed message is on the disks of a majority. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { client, find, VALUE_BYTES } from './built.mjs'
import { Inbox, Roundtrips, repeat } from './inbox.mjs'
import { eventually, freePorts } from './site.mjs'

export const name = 'rabbitmq'
export const workloads = ['queue.send', 'queue.receive+ack', 'queue.roundtrip']

/** Debian's script in the path asks for another user; the one that it runs does not. */
const FOLDERS = ['/usr/lib/rabbitmq/bin']
const ROUNDTRIP_PREFETCH = 256

export function missing() {
  const programs = ['rabbitmq-server', 'rabbitmqctl', 'epmd']
  const absent = programs.find((program) => find(program, FOLDERS) === undefined)
  return absent === undefined ? undefined : `'${absent}' is not installed (Debian: apt-get install rabbitmq-server)`
}

/**
 * @param {import('./site.mjs').Site} site
 * @returns {Promise<string[]>}
 */
export async function serve(site) {
  const [names = 0] = await freePorts(1)
  const clients = await freePorts(3)
  const peers = await freePorts(3)
  const home = site.folder('rabbitmq-home')
  writeFileSync(join(home, '.erlang.cookie'), 'TROUPEBENCH', { mode: 0o400 })
  writeFileSync(join(home, 'plugins'), '[].')
  // Erlang's name server would outlive the brokers that start one.
  site.start('rabbitmq-names', find('epmd') ?? 'epmd', ['-port', String(names), '-address', '127.0.0.1'])
  const brokers = clients.map((_, at) => `n${at}@localhost`)
  const environments = brokers.map((broker, at) => {
    writeFileSync(
      join(home, `${at}.conf`),
      [
        `listeners.tcp.1 = 127.0.0.1:${clients[at]}`,
        'cluster_formation.peer_discovery_backend = classic_config',
        ...brokers.map((each, number) => `cluster_formation.classic_config.nodes.${number + 1} = ${each}`),
        '',
      ].join('\n'),
    )
    return {
      HOME: home,
      ERL_EPMD_PORT: String(names),
      RABBITMQ_NODENAME: broker,
      RABBITMQ_DIST_PORT: String(peers[at]),
      RABBITMQ_MNESIA_BASE: site.folder(`rabbitmq-n${at}-data`),
      RABBITMQ_LOG_BASE: site.folder(`rabbitmq-n${at}-log`),
      RABBITMQ_CONFIG_FILE: join(home, String(at)),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(home, 'plugins'),
      // The broker in the place of its start script, so that signals reach it.
      RUNNING_UNDER_SYSTEMD: 'true',
    }
  })
  const server = find('rabbitmq-server', FOLDERS) ?? 'rabbitmq-server'
  for (const [at, environment] of environments.entries()) site.start(`rabbitmq-n${at}`, server, [], environment)
  await eventually(
    () => site.run(find('rabbitmqctl', FOLDERS) ?? 'rabbitmqctl', ['await_online_nodes', '3'], environments[0]),
    60_000,
  )
  return clients.map((port) => `amqp://guest:guest@127.0.0.1:${port}`)
}

/** @param {string[]} urls */
export async function connect(urls) {
  const amqp = await client('amqplib')
  const connection = await eventually(() => amqp.connect(urls[0], { noDelay: true }), 30_000)
  const publisher = await connection.createConfirmChannel()
  const quorum = { durable: true, arguments: { 'x-queue-type': 'quorum', 'x-quorum-initial-group-size': 3 } }
  for (const workload of workloads) await publisher.assertQueue(workload, quorum)
  /** @type {(queue: string, payload: Buffer) => Promise<void>} */
  const send = (queue, payload) =>
    new Promise((resolve, reject) => {
      const settle = (/** @type {unknown} */ error) => (error === null ? resolve() : reject(error))
      publisher.sendToQueue(queue, payload, { persistent: true }, settle)
    })
  const value = Buffer.alloc(VALUE_BYTES)

  /**
   * @param {string} queue
   * @param {number} prefetch
   * @param {(content: Buffer, acknowledge: () => void) => void} receive
   */
  async function consume(queue, prefetch, receive) {
    const channel = await connection.createChannel()
    await channel.prefetch(prefetch)
    await channel.consume(queue, (/** @type {any} */ message) => receive(message.content, () => channel.ack(message)))
    return async () => {
      await channel.close()
      await publisher.purgeQueue(queue)
    }
  }

  /** @type {import('./system.d.ts').SystemClient} */
  const measured = {
    async begin({ workload, inflight }) {
      if (workload === 'queue.send') {
        return { operation: () => send(workload, value), end: () => publisher.purgeQueue(workload) }
      }
      if (workload === 'queue.roundtrip') {
        const trips = new Roundtrips((payload) => send(workload, payload))
        const end = await consume(workload, ROUNDTRIP_PREFETCH, (content, acknowledge) => {
          acknowledge()
          trips.arrived(content)
        })
        return { operation: trips.operation, end }
      }
      const inbox = new Inbox()
      const end = await consume(workload, inflight, (_, acknowledge) => {
        inbox.push(async () => acknowledge())
      })
      const fill = (/** @type {number} */ count) => repeat(count, () => send(workload, value))
      return { operation: inbox.operation, fill, end: () => inbox.end(end) }
    },
  }
  return measured
}
