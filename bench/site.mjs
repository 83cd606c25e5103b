/** A site is a scratch directory with the processes started in it; closing it ends exactly those and removes the directory. */

import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const DRAIN_MS = 10_000

export class Site {
  directory = mkdtempSync(join(tmpdir(), 'troupe-bench-'))
  /** @type {import('node:child_process').ChildProcess[]} */
  #children = []

  /** The processes that run, in the order of their start. */
  get pids() {
    return this.#children.filter(isRunning).map((child) => Number(child.pid))
  }

  /**
   * Starts a server; what it prints goes to a log file.
   * @param {string} name
   * @param {string} command
   * @param {string[]} words
   * @param {Record<string, string>} [environment]
   */
  start(name, command, words, environment) {
    const log = openSync(join(this.directory, `${name}.log`), 'a')
    const env = { ...process.env, ...environment }
    const child = spawn(command, words, { cwd: this.directory, env, stdio: ['ignore', log, log] })
    // The client finds out that nobody answers, and shows the log.
    child.on('error', () => undefined)
    this.#children.push(child)
    return child
  }

  /**
   * Runs a program to its end, which is to be a success.
   * @param {string} command
   * @param {string[]} words
   * @param {Record<string, string>} [environment]
   */
  async run(command, words, environment) {
    const env = { ...process.env, ...environment }
    const child = spawn(command, words, { cwd: this.directory, env, stdio: 'ignore' })
    this.#children.push(child)
    const [code] = await once(child, 'exit')
    if (code !== 0) throw new Error(`'${command} ${words.join(' ')}' ended with ${code}`)
  }

  /**
   * Starts a Node program that is talked to by messages.
   * @param {string} program
   * @param {string[]} words
   * @param {string[]} [nodeOptions]
   */
  fork(program, words, nodeOptions = []) {
    const child = fork(program, words, { cwd: this.directory, execArgv: nodeOptions, stdio: ['ignore', 2, 2, 'ipc'] })
    this.#children.push(child)
    return child
  }

  /** @param {string} name */
  folder(name) {
    const path = join(this.directory, name)
    mkdirSync(path, { recursive: true })
    return path
  }

  /**
   * The last lines that a server printed.
   * @param {string} name
   */
  lastWords(name) {
    return readFileSync(join(this.directory, `${name}.log`), 'utf8')
      .split('\n')
      .slice(-8)
      .join('\n')
  }

  /** Asks every process to end, insists after a while, and removes the directory. */
  async close() {
    const ended = this.#children.map((child) => endOf(child))
    for (const child of this.#children) child.kill('SIGTERM')
    const all = Promise.all(ended)
    await Promise.race([all, sleep(DRAIN_MS, undefined, { ref: false })])
    for (const child of this.#children) if (isRunning(child)) child.kill('SIGKILL')
    await all
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/**
 * Ports of 127.0.0.1 that nobody listens on.
 * @param {number} count
 * @returns {Promise<number[]>}
 */
export async function freePorts(count) {
  const probes = await Promise.all(Array.from({ length: count }, listen))
  const ports = probes.map((probe) => {
    const address = probe.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  })
  await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))))
  return ports
}

/**
 * The first result of `attempt` that is no error.
 * @template Result
 * @param {() => Promise<Result>} attempt
 * @param {number} patienceMs
 */
export async function eventually(attempt, patienceMs) {
  const end = performance.now() + patienceMs
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() > end) throw error
      await sleep(200)
    }
  }
}

/** @returns {Promise<import('node:net').Server>} */
function listen() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(server))
  })
}

/** @param {import('node:child_process').ChildProcess} child */
function endOf(child) {
  if (!isRunning(child)) return Promise.resolve()
  return new Promise((resolve) => {
    child.once('exit', resolve)
    child.once('error', resolve)
  })
}

/** @param {import('node:child_process').ChildProcess} child */
function isRunning(child) {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null
}
