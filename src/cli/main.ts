#!/usr/bin/env node
/** The `troupe` command: finds what the user asked for, runs it, and turns whatever happens into an exit code. */

import { readFileSync } from 'node:fs'
import { text as readAll } from 'node:stream/consumers'
import { open } from '../platform/open.ts'
import type { Troupe } from '../runtime/troupe.ts'
import type { Terminal } from './command.ts'
import { run } from './run.ts'

const CLIENT_VARIABLES: ReadonlySet<string> = new Set(['TROUPE_SECRET', 'TROUPE_CLUSTER'])

const terminal: Terminal = {
  // A copy: what a client must not see is taken out of the environment before it is opened.
  environment: { ...process.env },
  print,
  complain: (line) => process.stderr.write(`${line}\n`),
  input: () => readAll(process.stdin),
  interruption,
  connect,
}

// Whoever read our output has seen enough, as `head` does.
process.stdout.on('error', () => process.exit(0))
process.exitCode = await run(process.argv.slice(2), terminal, version())

/** What the environment says about a node does not concern a client, which may well run beside one. */
function connect(addresses: readonly string[]): Promise<Troupe> {
  for (const name of Object.keys(process.env)) {
    if (name.startsWith('TROUPE_') && !CLIENT_VARIABLES.has(name)) delete process.env[name]
  }
  return open({ connect: addresses })
}

function print(line: string): Promise<void> {
  return new Promise((resolve) => {
    if (process.stdout.write(`${line}\n`)) resolve()
    else process.stdout.once('drain', resolve)
  })
}

/** The first request to end is for the command to follow; a second one is final. A parent that is gone counts as a request. */
function interruption(): AbortSignal {
  const controller = new AbortController()
  const stop = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(130)
    controller.abort(signal)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
  process.once('disconnect', () => controller.abort('SIGTERM'))
  // Listening alone must not keep the process alive.
  process.channel?.unref()
  return controller.signal
}

function version(): string {
  const { version: found }: { version: string } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  )
  return found
}
