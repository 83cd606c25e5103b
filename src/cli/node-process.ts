/** A node process is one node of `troupe dev`: an OS process that runs `troupe start`. */

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface NodePlace {
  readonly name: string
  readonly address: string
  readonly directory: string
}

/** How a process ended, in words. */
export interface Ending {
  readonly exitCode: number | undefined
  readonly how: string
}

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url))
/** What a node of `dev` must not take over from the environment, because `dev` says where its nodes are. */
const NOT_INHERITED = ['TROUPE_CONNECT', 'TROUPE_ADVERTISE']

export class NodeProcess {
  readonly place: NodePlace
  readonly #join: readonly string[]
  readonly #complain: (line: string) => void
  #child: ChildProcess | undefined
  #ended: Promise<Ending> = Promise.resolve({ exitCode: 0, how: 'was not started' })

  constructor(place: NodePlace, join: readonly string[], complain: (line: string) => void) {
    this.place = place
    this.#join = join
    this.#complain = complain
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Resolves when the running process has ended. */
  get ended(): Promise<Ending> {
    return this.#ended
  }

  /** Resolves with undefined once the node listens, or with how it ended before. */
  start(): Promise<Ending | undefined> {
    const { name, address, directory } = this.place
    const options = ['--node', name, '--cluster', 'dev', '--listen', address, '--data-dir', directory]
    const child = spawn(process.execPath, [MAIN, 'start', '--json', ...options, '--join', this.#join.join(',')], {
      // A group of its own: Ctrl-C reaches `dev`, which ends its nodes in order. If `dev` is killed, the closed channel
      // tells them.
      detached: true,
      env: withoutPlace(process.env),
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    this.#child = child
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve({ exitCode: undefined, how: `could not be started: ${error.message}` }))
      child.once('exit', (code, signal) => resolve(endingOf(code, signal)))
    })
    if (child.stderr !== null) createInterface(child.stderr).on('line', (line) => this.#complain(`${name}: ${line}`))
    const ready = new Promise<undefined>((resolve) => {
      if (child.stdout !== null) createInterface(child.stdout).once('line', () => resolve(undefined))
    })
    return Promise.race([ready, this.#ended])
  }

  /** Asks the node to drain; after `patienceMs` it is ended anyway. */
  async stop(patienceMs: number): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    const impatience = setTimeout(() => child.kill('SIGKILL'), patienceMs)
    await this.#ended
    clearTimeout(impatience)
  }
}

function withoutPlace(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !NOT_INHERITED.includes(name)))
}

function endingOf(code: number | null, signal: NodeJS.Signals | null): Ending {
  return signal === null
    ? { exitCode: code ?? undefined, how: `ended with exit code ${code}` }
    : { exitCode: undefined, how: `was ended by ${signal}` }
}
