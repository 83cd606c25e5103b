/** An OS process as a test sees it: what it printed, how it ended, and the certainty that it is gone afterwards. */

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const root: string = fileURLToPath(new URL('../..', import.meta.url))
export const main: string = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
if (!existsSync(main)) throw new Error('these tests run the built package: npm run build')

export type Signal = 'SIGKILL' | 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGSTOP' | 'SIGCONT'

export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

const running = new Set<OsProcess>()

export class OsProcess {
  readonly #child: ChildProcess
  readonly #leadsGroup: boolean
  readonly ended: Promise<Ended>
  stdout = ''
  stderr = ''

  /** @param more `terminal`: signals reach the process and its children, as Ctrl-C in a terminal does; `user` runs it as that one */
  constructor(
    command: string,
    words: readonly string[],
    environment: Readonly<Record<string, string>> = {},
    more: { readonly terminal?: boolean; readonly user?: number } = {},
  ) {
    this.#leadsGroup = more.terminal === true
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('TROUPE_'))
    const env = { ...Object.fromEntries(inherited), ...environment }
    this.#child = spawn(command, words, {
      cwd: root,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: this.#leadsGroup,
      ...(more.user === undefined ? {} : { uid: more.user, gid: more.user }),
    })
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    running.add(this)
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('close', (code, signal) => {
        running.delete(this)
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr })
      })
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get isRunning(): boolean {
    return running.has(this)
  }

  kill(signal: Signal): void {
    if (this.#leadsGroup) process.kill(-this.pid, signal)
    else this.#child.kill(signal)
  }

  /** Sends a signal and resolves when the process has ended. */
  end(signal: Signal = 'SIGKILL'): Promise<Ended> {
    this.kill(signal)
    return this.ended
  }

  /** Resolves when its standard output contains `text`; rejects when it ends before or takes too long. */
  async says(text: string, patienceMs = 20_000): Promise<void> {
    await until(() => {
      if (this.stdout.includes(text)) return true
      if (!this.isRunning) throw new Error(`it ended without saying '${text}':\n${this.stdout}${this.stderr}`)
      return false
    }, patienceMs)
  }
}

/** Ends every process that the tests of this file left behind, a stopped one too. */
export async function endAll(): Promise<void> {
  await Promise.all([...running].map((left) => left.end('SIGKILL')))
}

/** Runs `troupe` with these words to its end. */
export function troupe(words: readonly string[], environment?: Readonly<Record<string, string>>): Promise<Ended> {
  return new OsProcess(process.execPath, [main, ...words], environment).ended
}

/** Polls until `condition` holds. */
export async function until(condition: () => boolean | Promise<boolean>, patienceMs = 20_000): Promise<void> {
  const end = performance.now() + patienceMs
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`still not so after ${patienceMs} ms: ${condition.toString()}`)
    await sleep(20)
  }
}

/** Ports of 127.0.0.1 that nobody listens on. */
export async function freePorts(count: number): Promise<number[]> {
  const probes = await Promise.all(
    Array.from({ length: count }, async () => {
      const probe = createServer()
      await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
      return probe
    }),
  )
  const ports = probes.map((probe) => {
    const address = probe.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  })
  await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))))
  return ports
}
