/** The queue commands show and move messages of a running cluster; they leave a queue the rules that its application gave it. */

import type { DeathReason } from '../driver/contract.ts'
import { defineQueue } from '../message/queue.ts'
import type { InspectedQueueMessage, TroupeQueue } from '../message/troupe-queue.ts'
import { CLIENT_FLAGS, callOptions, withClient } from './client-command.ts'
import type { Command, Terminal } from './command.ts'
import type { CommandLine } from './command-line.ts'
import { EXIT } from './failure.ts'
import { json, show } from './text.ts'

type AnyQueue = TroupeQueue<unknown>
type Use = (queue: AnyQueue, line: CommandLine, terminal: Terminal) => Promise<number>

const LIMIT_FLAG = { limit: { value: 'N', help: 'at most so many' } }
const RULES_NOTE = 'The queue keeps the rules that the application gave it.'

const stats: Command = {
  name: 'queue stats',
  summary: 'how many messages wait, and who works',
  parameters: ['QUEUE'],
  flags: CLIENT_FLAGS,
  examples: [['troupe queue stats emails', 'counts and workers']],
  notes: ['A worker that should poll and does not shows by its last poll.'],
  run: withQueue(async (queue, line, terminal) => {
    const found = await queue.stats(callOptions(line))
    const { waiting, delayed, leased, dead, isPaused, consumers } = found
    if (line.has('json')) await terminal.print(json(found))
    else {
      const paused = isPaused ? ', paused' : ''
      await terminal.print(`${waiting} waiting, ${delayed} delayed, ${leased} under way, ${dead} dead${paused}`)
      for (const { consumer, unsettled, lastPollMs } of consumers) {
        await terminal.print(`${consumer}\t${unsettled} unsettled\tlast poll ${Math.round(lastPollMs)} ms ago`)
      }
    }
    return EXIT.done
  }),
}

const peek: Command = {
  name: 'queue peek',
  summary: 'messages, without taking them',
  parameters: ['QUEUE'],
  flags: { state: { value: 'STATE', help: 'waiting (default), delayed or dead' }, ...LIMIT_FLAG, ...CLIENT_FLAGS },
  examples: [
    ['troupe queue peek emails --limit 10', 'the first ten that wait'],
    ['troupe queue peek emails --state dead --json', 'dead letters with their errors'],
  ],
  notes: ['Nothing is changed by looking.'],
  run: withQueue(async (queue, line, terminal) => {
    const state = line.text('state') ?? 'waiting'
    if (state !== 'waiting' && state !== 'delayed' && state !== 'dead') {
      throw line.wrong(`--state takes waiting, delayed or dead, not '${state}'`)
    }
    const limit = line.count('limit')
    const messages = queue.peek({ ...callOptions(line), state, ...(limit === undefined ? {} : { limit }) })
    for await (const message of messages) await terminal.print(line.has('json') ? json(message) : messageText(message))
    return EXIT.done
  }),
}

const inspect: Command = {
  name: 'queue inspect',
  summary: 'one message with its attempts and errors',
  parameters: ['QUEUE', 'ID'],
  flags: CLIENT_FLAGS,
  examples: [['troupe queue inspect emails 3.1700000000000000', 'everything that is known of it']],
  notes: ['A message that is gone ends with exit code 1.'],
  run: withQueue(async (queue, line, terminal) => {
    const found = await queue.inspect(line.parameter(1), callOptions(line))
    if (found === undefined) terminal.complain(`there is no message ${line.parameter(1)} in ${queue.name}`)
    else await terminal.print(json(found))
    return found === undefined ? EXIT.failed : EXIT.done
  }),
}

const pause: Command = {
  name: 'queue pause',
  summary: 'deliver nothing until resumed',
  parameters: ['QUEUE'],
  flags: CLIENT_FLAGS,
  examples: [['troupe queue pause emails', 'sending goes on']],
  notes: [RULES_NOTE],
  run: withQueue(async (queue, line) => queue.pause(callOptions(line)).then(() => EXIT.done)),
}

const resume: Command = {
  name: 'queue resume',
  summary: 'deliver again',
  parameters: ['QUEUE'],
  flags: CLIENT_FLAGS,
  examples: [['troupe queue resume emails', 'after a pause']],
  notes: [RULES_NOTE],
  run: withQueue(async (queue, line) => queue.resume(callOptions(line)).then(() => EXIT.done)),
}

const purge: Command = {
  name: 'queue purge',
  summary: 'remove messages for good',
  parameters: ['QUEUE'],
  flags: { what: { value: 'WHAT', help: 'waiting (default), dead or all' }, ...CLIENT_FLAGS },
  examples: [['troupe queue purge emails --what dead', 'dead letters only']],
  notes: ['Prints how many were removed.'],
  run: withQueue(async (queue, line, terminal) => {
    const what = line.text('what') ?? 'waiting'
    if (what !== 'waiting' && what !== 'dead' && what !== 'all') {
      throw line.wrong(`--what takes waiting, dead or all, not '${what}'`)
    }
    const count = await queue.purge(what, callOptions(line))
    await terminal.print(line.has('json') ? json({ removed: count }) : `${count} removed`)
    return EXIT.done
  }),
}

const REASONS: readonly DeathReason[] = ['attempts', 'rejected', 'expired', 'overflow', 'validation']

const redrive: Command = {
  name: 'queue redrive',
  summary: 'dead letters back to the queue',
  parameters: ['QUEUE'],
  flags: {
    reason: { value: 'REASON', help: `only those that died for it: ${REASONS.join(', ')}` },
    rate: { value: 'N', help: 'at most so many a second' },
    ...LIMIT_FLAG,
    ...CLIENT_FLAGS,
  },
  examples: [['troupe queue redrive emails --reason attempts --rate 100', 'a hundred a second']],
  notes: ['Oldest first, with their attempts at 0. Prints how many came back.'],
  run: withQueue(async (queue, line, terminal) => {
    const given = line.text('reason')
    const reason = REASONS.find((known) => known === given)
    if (given !== undefined && reason === undefined) {
      throw line.wrong(`--reason takes ${REASONS.join(', ')}, not '${given}'`)
    }
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

export const QUEUE_COMMANDS: readonly Command[] = [stats, peek, inspect, pause, resume, purge, redrive]

function withQueue(use: Use): Command['run'] {
  return (line, terminal) => {
    const [name = '', placement] = line.parameter(0).split('@')
    const definition = defineQueue(name, { keepRules: true, ...(placement === undefined ? {} : { placement }) })
    return withClient(line, terminal, (client) => use(client.queue(definition), line, terminal))
  }
}

function messageText({ id, key, value, attempts, death }: InspectedQueueMessage): string {
  return [id, key, `${attempts} failed`, ...(death === undefined ? [] : [death]), show(value)].join('\t')
}
