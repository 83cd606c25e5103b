/** etcd: three members, every write fsynced by a majority. */

import { client, find, VALUE_BYTES } from './built.mjs'
import { eventually, freePorts } from './site.mjs'

export const name = 'etcd'
export const workloads = ['map.set', 'map.get linearizable', 'lock']

export function missing() {
  return find('etcd') ? undefined : "'etcd' is not installed (Debian: apt-get install etcd-server)"
}

/**
 * @param {import('./site.mjs').Site} site
 * @returns {Promise<string[]>}
 */
export async function serve(site) {
  const peers = await freePorts(3)
  const clients = await freePorts(3)
  const members = peers.map((port, at) => `n${at}=http://127.0.0.1:${port}`).join(',')
  for (const [at, peer] of peers.entries()) {
    const peerUrl = `http://127.0.0.1:${peer}`
    const clientUrl = `http://127.0.0.1:${clients[at]}`
    const options = {
      name: `n${at}`,
      'data-dir': site.folder(`etcd-n${at}`),
      'listen-peer-urls': peerUrl,
      'initial-advertise-peer-urls': peerUrl,
      'listen-client-urls': clientUrl,
      'advertise-client-urls': clientUrl,
      'initial-cluster': members,
      'initial-cluster-state': 'new',
      'quota-backend-bytes': '8000000000',
    }
    site.start(
      `etcd-n${at}`,
      'etcd',
      Object.entries(options).flatMap(([option, value]) => [`--${option}`, value]),
    )
  }
  return clients.map((port) => `127.0.0.1:${port}`)
}

/** @param {string[]} hosts */
export async function connect(hosts) {
  const { Etcd3 } = await client('etcd3')
  const etcd = new Etcd3({ hosts })
  const value = 'x'.repeat(VALUE_BYTES)
  await eventually(() => etcd.put('ready').value('1'), 30_000)
  // One session for all locks, as in etcd's own library: its lease is kept alive, and a lock is a key attached to it.
  const lease = etcd.lease(60)
  const session = await lease.grant()
  /** @type {Record<string, import('./system.d.ts').Operation>} */
  const operations = {
    'map.set': (worker, sequence) => etcd.put(`k${worker}:${sequence % 1000}`).value(value),
    'map.get linearizable': (worker, sequence) => etcd.get(`k${worker}:${sequence % 1000}`).string(),
    lock: async (worker, sequence) => {
      const key = `lock${worker}:${sequence % 1000}`
      const put = etcd.put(key).value('').lease(session)
      const { succeeded } = await etcd.if(key, 'Create', '==', 0).then(put).commit()
      if (!succeeded) throw new Error(`'${key}' is locked`)
      await etcd.delete().key(key)
    },
  }
  /** @type {import('./system.d.ts').SystemClient} */
  const measured = { begin: ({ workload }) => ({ operation: /** @type {any} */ (operations[workload]) }) }
  return measured
}
