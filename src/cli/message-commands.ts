/** The message commands send single messages to a queue, and look at, move and remove those that lie in it. */

import type { SendOptions } from '../message/queue.ts'
import type { InspectedQueueMessage, TroupeQueue } from '../message/troupe-queue.ts'
import { CLIENT_FLAGS, callOptions, withClient } from './client-command.ts'
import type { Command, Terminal } from './command.ts'
import type { CommandLine } from './command-line.ts'
import { ruledByOthers } from './dataset.ts'
import { EXIT } from './failure.ts'
import { withQueue } from './queue-commands.ts'
import { columns, json, show } from './text.ts'
import { givenValue, HEADER_FLAGS, headersOf, parseValue, VALUE_FLAGS } from './value.ts'

/** Lines of standard input that are under way at once. */
const LINES_AT_ONCE = 256
const STATES = ['waiting', 'delayed', 'dead'] as const

const send: Command = {
  name: 'queue send',
  summary: 'send a message',
  parameters: ['QUEUE', '[VALUE]'],
  flags: {
    ...VALUE_FLAGS,
    lines: { help: 'each line of standard input is a message of its own' },
    key: { value: 'KEY', help: 'messages of one key come one at a time, in their order' },
    delay: { value: 'DURATION', help: 'deliver it after this long, such as 30s or 2h' },
    at: { value: 'TIME', help: 'deliver it then, such as 2031-12-24T18:00Z' },
    ttl: { value: 'DURATION', help: 'a dead letter unless it is done within this long' },
    priority: { value: 'N', help: '0 (default) to 9, higher first' },
    deduplicate: { value: 'ID', help: 'once, however often it is sent with this id in five minutes' },
    ...HEADER_FLAGS,
    ...CLIENT_FLAGS,
  },
  examples: [
    ['troupe queue send emails hello', 'a text'],
    [`troupe queue send emails '{"to":"ann"}' --json-value --key ann --delay 30s`, 'an object, in half a minute'],
    ['troupe queue send emails - < mail.txt', 'the text on standard input'],
    ['troupe queue send emails --lines --json-value < mails.ndjson', 'a message for each line'],
  ],
  notes: [
    `Done means: a majority has it on disk (unless the cluster was started with a lesser durability). Prints the message's id, which
inspect, move and remove take. The queue keeps the rules that its application gave it; one that is new has the usual ones.`,
  ],
  run: (line, terminal) => {
    if (line.has('lines') === (line.parameter(1) !== '')) {
      throw line.wrong(`'queue send' takes either VALUE ('-' for standard input) or --lines`)
    }
    if (line.has('delay') && line.has('at')) throw line.wrong('a message has either --delay or --at')
    const options = sendOptions(line)
    return withClient(line, terminal, (client) => {
      const queue = client.queue(ruledByOthers(line.parameter(0)))
      return line.has('lines') ? sendLines(queue, options, line, terminal) : sendOne(queue, options, line, terminal)
    })
  },
}

const peek: Command = {
  name: 'queue peek',
  summary: 'messages, without taking them',
  parameters: ['QUEUE'],
  flags: {
    state: { value: 'STATE', help: 'waiting (default), delayed or dead' },
    limit: { value: 'N', help: 'at most so many; default 100' },
    ...CLIENT_FLAGS,
  },
  examples: [
    ['troupe queue peek emails --limit 10', 'ten that wait, oldest first in each shard'],
    ['troupe queue peek emails --state dead --json', 'dead letters with their errors'],
  ],
  notes: [
    'Each line is id, key, failed attempts and value; of dead letters also why they died and their last error. Nothing is changed by looking.',
  ],
  run: withQueue(async (queue, line, terminal) => {
    const state = line.choice('state', STATES) ?? 'waiting'
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
    if (found === undefined) return gone(queue, line, terminal)
    await terminal.print(line.has('json') ? json(found) : columns(factsOf(found)))
    return EXIT.done
  }),
}

const move: Command = {
  name: 'queue move',
  summary: 'give a message another time',
  parameters: ['QUEUE', 'ID'],
  flags: {
    at: { value: 'TIME', help: 'deliver it then, such as 2031-12-24T18:00Z; a time that is past means now' },
    delay: { value: 'DURATION', help: 'deliver it after this long; 0 means now' },
    ...CLIENT_FLAGS,
  },
  examples: [
    ['troupe queue move emails 3.1700000000000000 --delay 0', 'do not wait any longer'],
    ['troupe queue move emails 3.1700000000000000 --at 2031-12-24T18:00Z', 'later'],
  ],
  notes: ['A message that is gone, or dead, ends with exit code 1.'],
  run: withQueue(async (queue, line, terminal) => {
    const delay = line.milliseconds('delay', 0)
    const at = line.time('at') ?? (delay === undefined ? undefined : Date.now() + delay)
    if (at === undefined || (delay !== undefined && line.has('at'))) {
      throw line.wrong(`'queue move' needs either --at or --delay`)
    }
    if (!(await queue.move(line.parameter(1), { at }, callOptions(line)))) return gone(queue, line, terminal)
    const facts = { id: line.parameter(1), dueAt: at }
    await terminal.print(line.has('json') ? json(facts) : `due at ${new Date(at).toISOString()}`)
    return EXIT.done
  }),
}

const remove: Command = {
  name: 'queue remove',
  summary: 'cancel a message, waiting or dead',
  parameters: ['QUEUE', 'ID'],
  flags: CLIENT_FLAGS,
  examples: [['troupe queue remove emails 3.1700000000000000', 'it is not delivered any more']],
  notes: ['A message that is gone ends with exit code 1.'],
  run: withQueue(async (queue, line, terminal) => {
    if (!(await queue.remove(line.parameter(1), callOptions(line)))) return gone(queue, line, terminal)
    await terminal.print(line.has('json') ? json({ removed: 1 }) : '1 removed')
    return EXIT.done
  }),
}

export const MESSAGE_COMMANDS: readonly Command[] = [send, peek, inspect, move, remove]

function gone(queue: TroupeQueue<unknown>, line: CommandLine, terminal: Terminal): number {
  terminal.complain(
    `there is no such message ${line.parameter(1)} in ${queue.name}: it is done, removed, or was never there`,
  )
  return EXIT.failed
}

async function sendOne(
  queue: TroupeQueue<unknown>,
  options: SendOptions,
  line: CommandLine,
  terminal: Terminal,
): Promise<number> {
  const sent = await queue.send(await givenValue(line, 1, terminal), options)
  if (line.has('json')) await terminal.print(json({ queue: queue.name, ...sent }))
  else await terminal.print(sent.isDuplicate ? `${sent.id} (it was there already)` : sent.id)
  return EXIT.done
}

async function sendLines(
  queue: TroupeQueue<unknown>,
  options: SendOptions,
  line: CommandLine,
  terminal: Terminal,
): Promise<number> {
  const texts = (await terminal.input()).split('\n').filter((text) => text !== '')
  const values = texts.map((text) => parseValue(line, text))
  for (let at = 0; at < values.length; at += LINES_AT_ONCE) {
    await queue.sendAll(values.slice(at, at + LINES_AT_ONCE), options)
  }
  await terminal.print(line.has('json') ? json({ queue: queue.name, sent: values.length }) : `${values.length} sent`)
  return EXIT.done
}

function sendOptions(line: CommandLine): SendOptions {
  const given = {
    key: line.text('key'),
    delay: line.milliseconds('delay', 0),
    at: line.time('at'),
    ttl: line.milliseconds('ttl'),
    priority: line.count('priority'),
    deduplicate: line.text('deduplicate'),
  }
  const set = Object.entries(given).filter(([, value]) => value !== undefined)
  return { ...callOptions(line), ...headersOf(line), ...Object.fromEntries(set) }
}

function messageText({ id, key, value, attempts, death, lastError }: InspectedQueueMessage): string {
  const died = death === undefined ? [] : [`${death}: ${lastError?.message ?? ''}`]
  return [id, key, `${attempts} failed`, ...died, show(value)].join('\t')
}

function factsOf(message: InspectedQueueMessage): readonly string[][] {
  const { id, key, state, value, headers, attempts, priority, death, firstError, lastError } = message
  const result = message.result === undefined ? undefined : show(message.result)
  if (state === 'done') return [['id', id], ['state', state], ...(result === undefined ? [] : [['result', result]])]
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['id', id],
    ['state', state],
    ['key', key === '' ? undefined : key],
    ['value', show(value)],
    ['sent', new Date(message.sentAt).toISOString()],
    ['due', new Date(message.dueAt).toISOString()],
    ['priority', String(priority)],
    ['attempts', `${attempts} failed`],
    ['died of', death],
    ['first error', firstError?.message],
    ['last error', lastError?.message],
    ['stack', lastError?.stack],
    ['progress', message.progress === undefined ? undefined : show(message.progress)],
    ['result', result],
    ...Object.entries(headers).map(([name, text]) => [name, text] as const),
  ]
  return rows.flatMap(([name, text]) => (text === undefined ? [] : [[name, text]]))
}
