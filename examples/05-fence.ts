/** A web service that lets nobody write who has lost the lock: middleware that knows nothing but the tokens (docs/guide/fencing.md). */

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { open, readSequencer } from 'troupe'

/** The highest token that was seen of each lock; a service with a database keeps it there, in the same transaction. */
const highest = new Map<string, bigint>()

function fenced(request: IncomingMessage, response: ServerResponse, next: () => void) {
  const { name, token } = readSequencer(String(request.headers['x-fence']))
  if (token < (highest.get(name) ?? 0n)) {
    response.writeHead(412).end('somebody else holds the lock')
    return
  }
  highest.set(name, token)
  next()
}

let invoice = 'new'
const service = createServer((request, response) => {
  try {
    fenced(request, response, () => {
      invoice = String(request.url)
      response.end('written')
    })
  } catch (error) {
    response.writeHead(400).end(String(error))
  }
})
await once(service.listen(0, '127.0.0.1'), 'listening')
const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}`
const write = async (state: string, fence: string) => {
  const response = await fetch(`${url}/${state}`, { method: 'PUT', headers: { 'x-fence': fence } })
  console.log(`${state}: ${response.status} ${await response.text()}`)
}

const troupe = await open()
const first = await troupe.lock('billing')
await write('sent', first.sequencer)

// The first holder falls asleep for too long, as far as the others can tell; somebody else goes on.
await first.release()
const second = await troupe.lock('billing')
await write('paid', second.sequencer)
await write('sent-again', first.sequencer)
console.log('the invoice is at', invoice)

// Whoever keeps no tokens can ask: from any process of the cluster, with nothing but the text.
console.log('holds:', await troupe.verify(first.sequencer), await troupe.verify(second.sequencer))

await troupe.close()
service.close()
service.closeAllConnections()
