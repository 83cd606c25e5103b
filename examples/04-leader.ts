/** A route that only the leader serves; the other replicas send its callers there (docs/guide/leader.md). */

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { defineMap, type Office, open } from 'troupe'

const counts = defineMap<number>('counts')

/** A replica of the application: a client of the cluster with a web server. */
async function startReplica(name: string, address: string) {
  const troupe = await open({ connect: [address] })
  let office: Office | undefined

  async function run(_: IncomingMessage, response: ServerResponse) {
    if (office === undefined || office.signal.aborted) {
      for await (const { holders } of troupe.observe('scheduler')) {
        const [leader] = holders
        if (leader === undefined) response.writeHead(503, { 'retry-after': '1' }).end()
        else response.writeHead(307, { location: String(leader.value) }).end()
        return
      }
    }
    // Whatever became of the office since it was looked at: whoever has lost it writes nothing.
    const run = await troupe.map(counts).update('runs', (runs = 0) => runs + 1, office && { fence: office })
    response.end(`run ${run.value} by ${name}`)
  }

  const server = createServer((request, response) => {
    run(request, response).catch((error) => response.writeHead(503).end(String(error)))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const elected = troupe.campaign('scheduler', { candidate: url, signal: troupe.signal }).then((held) => {
    office = held
  })
  elected.catch(() => undefined)
  const close = async () => {
    await troupe.close()
    server.close()
    server.closeAllConnections()
  }
  return { url, elected, close }
}

await using node = await open({ listen: '127.0.0.1:0' })
const address = (await node.status()).members[0]?.address ?? ''

const ann = await startReplica('ann', address)
await ann.elected
const bob = await startReplica('bob', address)
const ask = async (url: string) => (await fetch(url, { method: 'POST' })).text()
console.log('asked ann:', await ask(ann.url))
console.log('asked bob:', await ask(bob.url))

// A replica that closes gives its office back at once: the next one need not wait until its lease has run out.
await ann.close()
await bob.elected
console.log('asked bob:', await ask(bob.url))
await bob.close()
