/** A threaded engine runs on an event loop of its own, so that nothing an application computes costs it a heartbeat. */

import { existsSync } from 'node:fs'
import { clearTimeout, setTimeout } from 'node:timers'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { isTroupeError, TroupeError } from '../base/error.ts'
import type { Millis } from '../base/time.ts'
import type { Channel } from '../wire/channel.ts'
import type { Engine, EngineSettings } from './engine.ts'
import { type FromEngine, revivedError, type ToEngine } from './engine-message.ts'
import { PortChannel, portEnds } from './port-channel.ts'

/** How long a thread that was told to close may take, its last frames and its disk included. */
const CLOSE_MS = 5_000

/** Starts an engine in a thread. Rejects with what kept it from starting. */
export async function startThreadedEngine(settings: EngineSettings): Promise<Engine> {
  // The flags of the process are about its own entry file; some of them (--input-type) would keep the thread from
  // starting.
  const worker = new Worker(threadFile(), { workerData: settings, name: 'troupe engine', execArgv: [] })
  return new Promise((resolve, reject) => {
    const engine = new ThreadedEngine(worker, resolve)
    engine.failed.addEventListener('abort', () => reject(engine.failed.reason), { once: true })
  })
}

/**
 * The entry file of the thread. It is beside this one; a bundle must have it as a file of its own, and a process that
 * runs the sources as they are needs the built one.
 */
function threadFile(): URL {
  // What a bundler makes of this file in CommonJS does not know import.meta.url.
  const here = import.meta.url ?? pathToFileURL(__filename).href
  const names = [
    './engine-thread.js',
    './engine-thread.mjs',
    './engine-thread.cjs',
    '../../dist/platform/engine-thread.js',
  ]
  const file = names.map((name) => new URL(name, here)).find((url) => existsSync(url))
  if (file !== undefined) return file
  throw new TroupeError(
    'UNSUPPORTED',
    `the engine's thread finds no engine-thread.js beside ${here}, where a bundler has put Troupe: mark 'troupe' as external, or make troupe/dist/platform/engine-thread.js a second entry of the bundle`,
    { details: { bundle: here } },
  )
}

class ThreadedEngine implements Engine {
  node = ''
  cluster = ''
  address = ''
  readonly #worker: Worker
  readonly #failure = new AbortController()
  readonly #ended: Promise<void>
  #drained: () => void = () => {}
  #isClosing = false
  #hasEnded = false

  constructor(worker: Worker, ready: (engine: Engine) => void) {
    this.#worker = worker
    worker.on('message', (message: FromEngine) => this.#received(message, ready))
    worker.on('error', (error) => this.#fail(error))
    this.#ended = new Promise((resolve) => {
      worker.once('exit', (code) => {
        this.#hasEnded = true
        this.#drained()
        if (!this.#isClosing) this.#fail(new TroupeError('INTERNAL', `the engine's thread ended with code ${code}`))
        resolve()
      })
    })
  }

  get failed(): AbortSignal {
    return this.#failure.signal
  }

  connect(): Channel {
    const [near, far] = portEnds()
    this.#tell({ type: 'connect', end: far })
    return new PortChannel(near)
  }

  async drain(timeout: Millis): Promise<void> {
    if (this.#hasEnded || this.failed.aborted) return
    await new Promise<void>((resolve) => {
      this.#drained = resolve
      this.#tell({ type: 'drain', timeout })
    })
  }

  async close(): Promise<void> {
    this.#isClosing = true
    this.#tell({ type: 'close' })
    const timer = setTimeout(() => void this.#worker.terminate(), CLOSE_MS)
    await this.#ended
    clearTimeout(timer)
  }

  #tell(message: ToEngine): void {
    this.#worker.postMessage(message, message.type === 'connect' ? [message.end.port] : [])
  }

  #received(message: FromEngine, ready: (engine: Engine) => void): void {
    if (message.type === 'failed') this.#fail(revivedError(message.error))
    else if (message.type === 'drained') this.#drained()
    else {
      this.node = message.node
      this.cluster = message.cluster
      this.address = message.address
      ready(this)
    }
  }

  #fail(cause: Error): void {
    const error = isTroupeError(cause) ? cause : new TroupeError('INTERNAL', cause.message, { cause })
    if (!this.failed.aborted) this.#failure.abort(error)
    this.#drained()
  }
}
