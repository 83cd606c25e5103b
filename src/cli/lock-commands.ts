/** The lock commands hold a lock while a command runs, and show who holds what. */

import { hostname } from 'node:os'
import { LONGEST_TIMER_MS } from '../base/time.ts'
import type { Lock, LockState, ReadWriteLockOptions } from '../data/lock.ts'
import { CommandUnusable, runChild } from './child-process.ts'
import { CLIENT_FLAGS, callOptions, childEnvironment, withClient } from './client-command.ts'
import type { Client, Command, Terminal } from './command.ts'
import type { CommandLine } from './command-line.ts'
import { EXIT } from './failure.ts'
import { columns, json, show } from './text.ts'

/** As shells have it. */
const NOT_FOUND = 127

const lock: Command = {
  name: 'lock',
  summary: 'hold a lock while a command runs',
  parameters: ['NAME'],
  takesCommand: true,
  flags: {
    shared: { help: 'together with others that share it' },
    'no-wait': { help: 'LOCKED at once when somebody else holds it' },
    ttl: { value: 'DURATION', help: 'how long this process may be out of touch before it loses the lock; default 10s' },
    'lock-delay': { value: 'DURATION', help: 'how long the lock stays shut after its holder was lost; default 0' },
    connect: CLIENT_FLAGS.connect ?? { help: '' },
    timeout: { value: 'DURATION', help: 'wait in line no longer than this; default as long as it takes' },
    json: { help: 'without a command: print name and token as JSON' },
    help: CLIENT_FLAGS.help ?? { help: '' },
  },
  examples: [
    ['troupe lock nightly -- ./backup.sh', 'one at a time in the whole cluster'],
    ['troupe lock nightly --no-wait -- ./backup.sh', 'not at all if somebody else is at it'],
    [`troupe lock billing -- sh -c 'psql -v fence="$LOCK_TOKEN" -f bill.sql'`, 'the token shuts out older holders'],
    ['troupe lock billing', 'hold it until Ctrl-C'],
  ],
  notes: [
    `The command finds LOCK_NAME and LOCK_TOKEN in its environment. The token grows with every grant: whoever takes the command's writes
can refuse older ones, and only that makes a lock safe.`,
    `When the lock is lost (no node could be reached for its ttl) the command is ended by SIGTERM, and by SIGKILL after 5 s, and the exit
code is 1. Otherwise the exit code is the command's own, 127 when it cannot be run. The lock is released when the command has ended.`,
  ],
  run: (line, terminal) => withClient(line, terminal, (client) => holdLock(client, line, terminal)),
}

const locks: Command = {
  name: 'locks',
  summary: 'who holds which lock or office',
  parameters: ['[NAME]'],
  flags: { watch: { help: 'with NAME: now and after each change, until Ctrl-C' }, ...CLIENT_FLAGS },
  examples: [
    ['troupe locks', 'all that are held'],
    ['troupe locks scheduler --watch', 'who leads, as it changes'],
  ],
  notes: [
    'Locks, semaphores and offices (elections, singletons) are of one kind. VALUE is what the holder says of itself.',
  ],
  run: (line, terminal) =>
    withClient(line, terminal, (client) =>
      line.has('watch') ? watchLock(client, line, terminal) : listLocks(client, line, terminal),
    ),
}

export const LOCK_COMMANDS: readonly Command[] = [lock, locks]

async function holdLock(client: Client, line: CommandLine, terminal: Terminal): Promise<number> {
  const stop = terminal.interruption()
  const held = await acquired(client, line, stop)
  if (held === undefined) return EXIT.done
  try {
    const code =
      line.command.length === 0 ? await holdOn(held, line, terminal, stop) : await runHeld(held, line, terminal, stop)
    held.signal.throwIfAborted()
    return code
  } finally {
    await held.release().catch(() => undefined)
  }
}

/** Undefined when the user has stopped waiting. */
async function acquired(client: Client, line: CommandLine, signal: AbortSignal): Promise<Lock | undefined> {
  const ttl = line.milliseconds('ttl')
  const lockDelay = line.milliseconds('lock-delay', 0)
  const options: ReadWriteLockOptions = {
    signal,
    timeout: line.milliseconds('timeout') ?? LONGEST_TIMER_MS,
    wait: !line.has('no-wait'),
    shared: line.has('shared'),
    value: `${hostname()} pid ${process.pid}`,
    ...(ttl === undefined ? {} : { ttl }),
    ...(lockDelay === undefined ? {} : { lockDelay }),
  }
  try {
    return await client.lock(line.parameter(0), options)
  } catch (error) {
    if (signal.aborted) return undefined
    throw error
  }
}

async function holdOn(held: Lock, line: CommandLine, terminal: Terminal, stop: AbortSignal): Promise<number> {
  const { name, token } = held
  await terminal.print(line.has('json') ? json({ name, token }) : `holding ${name} with token ${token} until Ctrl-C`)
  const end = AbortSignal.any([stop, held.signal])
  if (!end.aborted) await new Promise((resolve) => end.addEventListener('abort', resolve, { once: true }))
  return EXIT.done
}

async function runHeld(held: Lock, line: CommandLine, terminal: Terminal, stop: AbortSignal): Promise<number> {
  const isForeground = process.stdin.isTTY === true
  const asked = new AbortController()
  stop.addEventListener('abort', () => {
    // At a terminal Ctrl-C has reached the command already.
    if (!(isForeground && stop.reason === 'SIGINT')) asked.abort()
  })
  const { name, token } = held
  try {
    const ended = await runChild(line.command, {
      environment: { ...childEnvironment(line, terminal), LOCK_NAME: name, LOCK_TOKEN: String(token) },
      input: undefined,
      signal: AbortSignal.any([held.signal, asked.signal]),
      isForeground,
    })
    return ended.exitCode
  } catch (error) {
    if (!(error instanceof CommandUnusable)) throw error
    terminal.complain(`troupe: ${error.message}`)
    return NOT_FOUND
  }
}

async function listLocks(client: Client, line: CommandLine, terminal: Terminal): Promise<number> {
  const name = line.parameter(0)
  const all = await client.locks(callOptions(line))
  const found = all.filter((state) => name === '' || state.name === name)
  if (line.has('json')) for (const state of found) await terminal.print(json(state))
  else if (found.length === 0) await terminal.print(name === '' ? 'nothing is held' : `nobody holds ${name}`)
  else await terminal.print(columns([['LOCK', 'TOKEN', 'WAITING', 'VALUE'], ...found.flatMap(lockRows)]))
  return EXIT.done
}

async function watchLock(client: Client, line: CommandLine, terminal: Terminal): Promise<number> {
  const name = line.parameter(0)
  if (name === '') throw line.wrong('--watch needs NAME: the lock to watch')
  const signal = terminal.interruption()
  try {
    for await (const state of client.observe(name, { signal })) {
      await terminal.print(line.has('json') ? json(state) : stateText(state))
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
  return EXIT.done
}

function lockRows({ name, holders, waiting }: LockState): readonly string[][] {
  if (holders.length === 0) return [[name, '-', String(waiting), '']]
  return holders.map(({ token, value }) => [name, String(token), String(waiting), show(value)])
}

function stateText({ name, holders, waiting }: LockState): string {
  const who = holders.map(({ token, value }) => `${show(value)} (token ${token})`)
  return `${name}\t${who.length === 0 ? 'nobody' : who.join(', ')}\t${waiting} waiting`
}
