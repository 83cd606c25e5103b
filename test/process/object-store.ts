/**
 * An object store as far as S3's conditional writes go: GET, PUT with If-Match or If-None-Match, and ETags that are the
 * MD5 of the content.
 */

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'

export class ObjectStore {
  readonly url: string
  readonly #server: Server
  readonly #objects = new Map<string, string>()

  private constructor(server: Server) {
    this.#server = server
    const address = server.address()
    this.url = `http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`
    server.on('request', (request, response) => void this.#answer(request, response))
  }

  static async start(): Promise<ObjectStore> {
    const server = createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return new ObjectStore(server)
  }

  async end(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = '', headers } = request
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    // Nothing is awaited from here on: of two writes one is the first.
    const object = this.#objects.get(url)
    if (method === 'GET') {
      if (object === undefined) response.writeHead(404).end()
      else response.writeHead(200, { etag: etagOf(object) }).end(object)
      return
    }
    const expected = headers['if-match']
    if (expected !== undefined && object === undefined) response.writeHead(404).end()
    else if (expected !== undefined && expected !== etagOf(object ?? '')) response.writeHead(412).end()
    else if (headers['if-none-match'] === '*' && object !== undefined) response.writeHead(412).end()
    else {
      const content = Buffer.concat(parts).toString()
      this.#objects.set(url, content)
      response.writeHead(200, { etag: etagOf(content) }).end()
    }
  }
}

function etagOf(content: string): string {
  return `"${createHash('md5').update(content).digest('hex')}"`
}
