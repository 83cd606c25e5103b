/** A child process is a command that troupe runs for somebody: for a message, or while a lock is held. */

import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'

export interface ChildOptions {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** What it reads on standard input; undefined: what this process would read. */
  readonly input: string | Uint8Array | undefined
  /** Ends the command, and by force if it does not follow. */
  readonly signal: AbortSignal
  /** Stays in the foreground of the terminal, where Ctrl-C reaches it as well as this process. */
  readonly isForeground: boolean
}

export interface ChildEnding {
  /** As a shell says it: 128 and the signal's number when it was ended by one. */
  readonly exitCode: number
  readonly how: string
  /** The last of what it wrote to standard error, unless that went to the terminal directly. */
  readonly complaint: string
}

/** The command cannot be run at all: it is not there, or not allowed. */
export class CommandUnusable extends Error {
  override readonly name = 'CommandUnusable'
}

const KILL_AFTER_MS = 5_000
const COMPLAINT_LIMIT = 300

/** Runs a command to its end. Rejects with {@link CommandUnusable} when it cannot be started. */
export async function runChild(words: readonly string[], options: ChildOptions): Promise<ChildEnding> {
  const [file = '', ...rest] = words
  const child = spawn(file, rest, {
    detached: !options.isForeground,
    env: options.environment,
    stdio: [options.input === undefined ? 'inherit' : 'pipe', 'inherit', options.isForeground ? 'inherit' : 'pipe'],
  })
  const complaint = forwardComplaints(child)
  feed(child, options.input)
  const kill = killer(child, options.isForeground)
  let impatience: NodeJS.Timeout | undefined
  const end = (): void => {
    kill('SIGTERM')
    impatience = setTimeout(() => kill('SIGKILL'), KILL_AFTER_MS)
  }
  const die = (): void => kill('SIGKILL')
  // Nothing that was to be held or settled is, once this process is gone.
  process.once('exit', die)
  try {
    const ended = ending(child, file)
    if (options.signal.aborted) end()
    else options.signal.addEventListener('abort', end, { once: true })
    return { ...(await ended), complaint: complaint() }
  } finally {
    clearTimeout(impatience)
    options.signal.removeEventListener('abort', end)
    process.off('exit', die)
  }
}

function ending(child: ChildProcess, file: string): Promise<Omit<ChildEnding, 'complaint'>> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new CommandUnusable(`'${file}' cannot be run: ${error.message}`)))
    child.once('close', (code, signal) => {
      if (signal === null) resolve({ exitCode: code ?? 1, how: `exit code ${code}` })
      else resolve({ exitCode: 128 + (constants.signals[signal] ?? 0), how: `ended by ${signal}` })
    })
  })
}

/** One in the background has a process group of its own, which ends as a whole. */
function killer(child: ChildProcess, isForeground: boolean): (signal: NodeJS.Signals) => void {
  return (signal) => {
    const { pid } = child
    if (pid === undefined) return
    try {
      process.kill(isForeground ? pid : -pid, signal)
    } catch {
      // It has ended by itself.
    }
  }
}

function feed(child: ChildProcess, input: string | Uint8Array | undefined): void {
  // A command need not read what it is given.
  child.stdin?.on('error', () => undefined)
  if (input !== undefined) child.stdin?.end(input)
}

/** Passes on what the command says on standard error, and keeps its last words. */
function forwardComplaints(child: ChildProcess): () => string {
  let last = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    process.stderr.write(chunk)
    last = (last + chunk.toString()).slice(-COMPLAINT_LIMIT)
  })
  return () => last.trim()
}
