/** NATS JetStream: three servers, a bucket with three replicas on files; by its default it acknowledges before it syncs. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { client, find, VALUE_BYTES } from './built.mjs'
import { eventually, freePorts } from './site.mjs'

export const name = 'nats'
export const workloads = ['map.set']

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
  const connection = await eventually(() => dial({ servers }), 30_000)
  const bucket = await eventually(() => new Kvm(connection).create('bench', { replicas: 3, storage: 'file' }), 30_000)
  const value = new Uint8Array(VALUE_BYTES)
  return {
    operation: () => (/** @type {number} */ worker, /** @type {number} */ sequence) =>
      bucket.put(`k.${worker}.${sequence % 1000}`, value),
  }
}
