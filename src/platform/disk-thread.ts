/** A disk thread waits for the disk in the place of the engine, which meanwhile goes on listening to its peers. */

import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import type { Done } from '../host/port.ts'

interface ThreadData {
  /** [number of the latest request, its file descriptor] */
  readonly control: SharedArrayBuffer
  readonly port: MessagePort
}

interface Job {
  readonly descriptor: number
  readonly done: Done
}

const MOST_THREADS = 4

/**
 * Syncs files on threads of their own, never in the pool of libuv, where a sync waits behind whatever the application
 * has put there. A thread carries one sync at a time; when all are busy another one starts, up to four.
 */
export class DiskThreads {
  #idle: DiskThread[] = []
  #all: DiskThread[] = []
  #waiting: Job[] = []

  sync(descriptor: number, done: Done): void {
    const thread = this.#idle.pop() ?? this.#start()
    if (thread === undefined) this.#waiting.push({ descriptor, done })
    else this.#give(thread, { descriptor, done })
  }

  /** Ends the threads; callbacks under way never come. */
  close(): void {
    for (const thread of this.#all) thread.close()
    this.#all = []
    this.#idle = []
    this.#waiting = []
  }

  #start(): DiskThread | undefined {
    if (this.#all.length === MOST_THREADS) return
    const thread = new DiskThread()
    this.#all.push(thread)
    return thread
  }

  #give(thread: DiskThread, job: Job): void {
    thread.sync(job.descriptor, (error) => {
      const next = this.#waiting.shift()
      if (next === undefined) this.#idle.push(thread)
      else this.#give(thread, next)
      job.done(error)
    })
  }
}

class DiskThread {
  readonly #control = new Int32Array(new SharedArrayBuffer(8))
  readonly #worker: Worker
  readonly #port: MessagePort
  #done: Done | undefined = undefined

  constructor() {
    const { port1, port2 } = new MessageChannel()
    const data: ThreadData = { control: this.#control.buffer as SharedArrayBuffer, port: port2 }
    // The code travels as text, so that it is found from sources, from the built package and from a bundle alike.
    // The flags of the process are about its own entry file: --input-type would make a module of it.
    const options = { eval: true, execArgv: [], workerData: data, transferList: [port2] }
    this.#worker = new Worker(`(${syncForEver.toString()})()`, options)
    this.#worker.on('error', (error) => this.#finish(error))
    this.#worker.unref()
    this.#port = port1
    this.#port.on('message', (message: string | undefined) => {
      this.#finish(message === undefined ? undefined : new Error(message))
    })
    this.#port.unref()
  }

  sync(descriptor: number, done: Done): void {
    this.#done = done
    this.#port.ref()
    this.#control[1] = descriptor
    Atomics.add(this.#control, 0, 1)
    Atomics.notify(this.#control, 0)
  }

  close(): void {
    this.#done = undefined
    this.#port.close()
    void this.#worker.terminate()
  }

  #finish(error: Error | undefined): void {
    const done = this.#done
    this.#done = undefined
    this.#port.unref()
    done?.(error)
  }
}

/** What the thread runs: it can see nothing of this file. A message tells the engine; `undefined` is success. */
function syncForEver(): void {
  // A bundler would replace `require` by a function of its own, which the thread has not.
  const { fdatasyncSync } = process.getBuiltinModule('node:fs')
  const { workerData } = process.getBuiltinModule('node:worker_threads')
  const { control, port } = workerData as ThreadData
  const request = new Int32Array(control)
  for (let seen = 0; ; seen++) {
    Atomics.wait(request, 0, seen)
    try {
      fdatasyncSync(request[1] ?? -1)
      port.postMessage(undefined)
    } catch (error) {
      port.postMessage(String(error))
    }
  }
}
