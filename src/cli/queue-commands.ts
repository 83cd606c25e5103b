/**
 * The queue commands list queues, say how they are, and stop, empty and refill them; a queue keeps the rules that its
 * application gave it.
 */

import type { DeathReason, QueueStats } from '../driver/contract.ts'
import type { TroupeQueue } from '../message/troupe-queue.ts'
import { CLIENT_FLAGS, callOptions, withClient } from './client-command.ts'
import type { Command, Terminal } from './command.ts'
import type { CommandLine } from './command-line.ts'
import { checkQueue, ruledByOthers } from './dataset.ts'
import { EXIT } from './failure.ts'
import { columns, elapsed, json } from './text.ts'

type Use = (queue: TroupeQueue<unknown>, line: CommandLine, terminal: Terminal) => Promise<number>

const WHAT = ['waiting', 'dead', 'all'] as const
const REASONS: readonly DeathReason[] = ['attempts', 'rejected', 'expired', 'overflow', 'validation']

const list: Command = {
  name: 'queues',
  summary: 'the queues and what waits in them',
  parameters: [],
  flags: CLIENT_FLAGS,
  examples: [['troupe queues', 'a line for each queue']],
  notes: ['A queue is there once something was sent to it, or somebody has worked for it.'],
  run: (line, terminal) =>
    withClient(line, terminal, async (client) => {
      const rows: string[][] = []
      for (const { name } of await client.queues(callOptions(line))) {
        const stats = await client.queue(ruledByOthers(name)).stats(callOptions(line))
        if (line.has('json')) await terminal.print(json({ name, ...stats }))
        else rows.push([name, ...counts(stats)])
      }
      const heads = ['QUEUE', 'WAITING', 'DELAYED', 'UNDER WAY', 'DEAD', 'WORKERS', 'STATE']
      if (!line.has('json')) await terminal.print(columns([heads, ...rows]))
      return EXIT.done
    }),
}

const stats: Command = {
  name: 'queue stats',
  summary: 'how many messages wait, and who works',
  parameters: ['QUEUE'],
  flags: CLIENT_FLAGS,
  examples: [['troupe queue stats emails', 'counts and workers']],
  notes: ['A worker that should poll and does not shows by its last poll.'],
  run: withQueue(async (queue, line, terminal) => {
    const found = await queue.stats(callOptions(line))
    if (line.has('json')) await terminal.print(json(found))
    else for (const text of statsText(found)) await terminal.print(text)
    return EXIT.done
  }),
}

const pause: Command = {
  name: 'queue pause',
  summary: 'deliver nothing until resumed',
  parameters: ['QUEUE'],
  flags: CLIENT_FLAGS,
  examples: [['troupe queue pause emails', 'sending goes on']],
  notes: ['What is under way may finish.'],
  run: withQueue(async (queue, line, terminal) => {
    await queue.pause(callOptions(line))
    await terminal.print(line.has('json') ? json({ queue: queue.name, isPaused: true }) : 'paused')
    return EXIT.done
  }),
}

const resume: Command = {
  name: 'queue resume',
  summary: 'deliver again',
  parameters: ['QUEUE'],
  flags: CLIENT_FLAGS,
  examples: [['troupe queue resume emails', 'after a pause']],
  notes: [],
  run: withQueue(async (queue, line, terminal) => {
    await queue.resume(callOptions(line))
    await terminal.print(line.has('json') ? json({ queue: queue.name, isPaused: false }) : 'resumed')
    return EXIT.done
  }),
}

const purge: Command = {
  name: 'queue purge',
  summary: 'remove messages for good',
  parameters: ['QUEUE'],
  flags: { what: { value: 'WHAT', help: 'waiting (default), dead or all' }, ...CLIENT_FLAGS },
  examples: [['troupe queue purge emails --what dead', 'dead letters only']],
  notes: ['Prints how many were removed.'],
  run: withQueue(async (queue, line, terminal) => {
    const count = await queue.purge(line.choice('what', WHAT) ?? 'waiting', callOptions(line))
    await terminal.print(line.has('json') ? json({ removed: count }) : `${count} removed`)
    return EXIT.done
  }),
}

const remove: Command = {
  name: 'queue delete',
  summary: 'delete a queue with all it holds',
  parameters: ['QUEUE'],
  flags: { yes: { help: 'I mean it' }, ...CLIENT_FLAGS },
  examples: [['troupe queue delete emails --yes', 'its messages, dead letters and rules']],
  notes: [
    'End its workers and schedules first: while it has some the answer is CONFLICT. Prints how many messages went.',
  ],
  run: withQueue(async (queue, line, terminal) => {
    if (!line.has('yes')) throw line.wrong(`'queue delete' deletes for good: confirm it with --yes`)
    const count = await queue.delete(callOptions(line))
    await terminal.print(line.has('json') ? json({ queue: queue.name, removed: count }) : `deleted, ${count} removed`)
    return EXIT.done
  }),
}

const redrive: Command = {
  name: 'queue redrive',
  summary: 'dead letters back to the queue',
  parameters: ['QUEUE'],
  flags: {
    reason: { value: 'REASON', help: `only those that died for it: ${REASONS.join(', ')}` },
    rate: { value: 'N', help: 'at most so many a second' },
    limit: { value: 'N', help: 'at most so many; default all' },
    ...CLIENT_FLAGS,
  },
  examples: [['troupe queue redrive emails --reason attempts --rate 100', 'a hundred a second']],
  notes: ['Oldest first, with their attempts at 0. Prints how many came back.'],
  run: withQueue(async (queue, line, terminal) => {
    const reason = line.choice('reason', REASONS)
    const limit = line.count('limit')
    const messages = line.count('rate', 1)
    const count = await queue.redrive({
      ...callOptions(line),
      ...(reason === undefined ? {} : { reason }),
      ...(limit === undefined ? {} : { limit }),
      ...(messages === undefined ? {} : { rate: { messages, per: 1000 } }),
    })
    await terminal.print(line.has('json') ? json({ redriven: count }) : `${count} redriven`)
    return EXIT.done
  }),
}

export const QUEUE_COMMANDS: readonly Command[] = [list, stats, pause, resume, purge, remove, redrive]

/** Runs a command on a queue that is there. */
export function withQueue(use: Use): Command['run'] {
  return (line, terminal) => {
    const definition = ruledByOthers(line.parameter(0))
    return withClient(line, terminal, async (client) => {
      await checkQueue(client, definition.name, callOptions(line))
      return use(client.queue(definition), line, terminal)
    })
  }
}

function counts({ waiting, delayed, leased, dead, consumers, isPaused }: QueueStats): readonly string[] {
  return [...[waiting, delayed, leased, dead, consumers.length].map(String), isPaused ? 'paused' : 'open']
}

function statsText({ waiting, delayed, leased, dead, isPaused, oldestWaitingMs, consumers }: QueueStats): string[] {
  const oldest = waiting === 0 ? '' : ` (the oldest for ${elapsed(oldestWaitingMs)})`
  const paused = isPaused ? ', paused' : ''
  const workers = consumers.map(({ consumer, unsettled, lastPollMs, oldestUnsettledMs }) => {
    const held = unsettled === 0 ? '' : `, the oldest for ${elapsed(oldestUnsettledMs)}`
    return `${consumer}\t${unsettled} unsettled${held}\tlast poll ${elapsed(lastPollMs)} ago`
  })
  const head = `${waiting} waiting${oldest}, ${delayed} delayed, ${leased} under way, ${dead} dead${paused}`
  return [head, ...(workers.length === 0 ? ['nobody works for it'] : workers)]
}
