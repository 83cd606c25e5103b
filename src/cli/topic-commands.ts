/** The topic commands publish and read records of a running cluster, and show and set where groups go on. */

import type { GroupOffsets, NamedTopic, Position } from '../driver/contract.ts'
import { defineTopic, type TopicBatch, type TopicDefinition, type TopicRecord } from '../message/topic.ts'
import { CLIENT_FLAGS, callOptions, withClient } from './client-command.ts'
import type { Client, Command, Terminal } from './command.ts'
import { type CommandLine, parseDuration, parseTime } from './command-line.ts'
import { knownTopic, placeOf } from './dataset.ts'
import { EXIT } from './failure.ts'
import { columns, elapsed, json, show } from './text.ts'
import { givenValue, HEADER_FLAGS, headersOf, VALUE_FLAGS } from './value.ts'

const OFFSETS = /^\d+:\d+(,\d+:\d+)*$/
const PATTERN = /[*>]/
const POSITIONS = 'earliest, latest, a time, how long ago (10m), or PARTITION:OFFSET,…'

const list: Command = {
  name: 'topics',
  summary: 'the topics and what they keep',
  parameters: [],
  flags: CLIENT_FLAGS,
  examples: [['troupe topics', 'a line for each topic']],
  notes: ['A topic is there once something was published to it, or somebody has read it.'],
  run: (line, terminal) =>
    withClient(line, terminal, async (client) => {
      const found = await client.topics(callOptions(line))
      if (line.has('json')) for (const topic of found) await terminal.print(json(topic))
      else await terminal.print(columns([['TOPIC', 'PARTITIONS', 'KEEPS'], ...found.map(topicRow)]))
      return EXIT.done
    }),
}

const publish: Command = {
  name: 'topic publish',
  summary: 'append a record',
  parameters: ['TOPIC', 'VALUE'],
  flags: {
    ...VALUE_FLAGS,
    key: { value: 'KEY', help: 'records of one key keep their order; none: any partition takes it' },
    ...HEADER_FLAGS,
    ...CLIENT_FLAGS,
  },
  examples: [
    [`troupe topic publish orders '{"id":7}' --json-value --key customer-9`, 'an object'],
    ['troupe topic publish orders - < order.txt', 'the text on standard input'],
  ],
  notes: [
    `Done means: a majority has it on disk (unless the cluster was started with a lesser durability). Prints partition and offset.
A topic that is there keeps its rules; a new one has 8 partitions and keeps its records for 7 days.`,
  ],
  run: (line, terminal) =>
    withClient(line, terminal, async (client) => {
      const value = await givenValue(line, 1, terminal)
      const key = line.text('key')
      const topic = client.topic(await definitionOf(client, line))
      const options = { ...callOptions(line), ...headersOf(line), ...(key === undefined ? {} : { key }) }
      const { partition, offset, receipt } = await topic.publish(value, options)
      const facts = { topic: topic.name, partition, offset, receipt }
      await terminal.print(line.has('json') ? json(facts) : `partition ${partition}, offset ${offset}`)
      return EXIT.done
    }),
}

const tail: Command = {
  name: 'topic tail',
  summary: 'records as they come, until Ctrl-C',
  parameters: ['TOPIC'],
  flags: {
    from: { value: 'POSITION', help: `where to begin: ${POSITIONS}; default latest` },
    group: {
      value: 'GROUP',
      help: 'as a member of this group: goes on where it has committed, and commits what was printed',
    },
    limit: { value: 'N', help: 'end after so many records' },
    connect: CLIENT_FLAGS.connect ?? { help: '' },
    json: CLIENT_FLAGS.json ?? { help: '' },
    help: CLIENT_FLAGS.help ?? { help: '' },
  },
  examples: [
    ['troupe topic tail orders', 'from now on'],
    ['troupe topic tail orders --from earliest --limit 10', 'ten of the oldest that are kept'],
    ['troupe topic tail orders --from 10m --json | jq .value', 'the last ten minutes, and what follows'],
    ["troupe topic tail 'shop.*'", 'all topics of this pattern: * is one part between dots, > at the end one or more'],
    ['troupe topic tail orders --group audit', 'shared with other members of the group'],
  ],
  notes: [
    'Each line is partition:offset, key and value. Records of one partition come in their order; those of different partitions interleave.',
  ],
  run: (line, terminal) => withClient(line, terminal, (client) => tailTopics(client, line, terminal)),
}

const groups: Command = {
  name: 'topic groups',
  summary: 'consumer groups and how far they are',
  parameters: ['TOPIC'],
  flags: CLIENT_FLAGS,
  examples: [['troupe topic groups orders', 'a line for each group and partition']],
  notes: [
    'LAG is what lies between the offset that was committed and the end. A partition without an owner is read by nobody now.',
  ],
  run: (line, terminal) =>
    withClient(line, terminal, async (client) => {
      const topic = client.topic(definition(await knownTopic(client, line.parameter(0), callOptions(line))))
      const found = (await topic.groups(callOptions(line))).filter(({ group }) => !group.startsWith('~'))
      if (line.has('json')) for (const group of found) await terminal.print(json(group))
      else if (found.length === 0) await terminal.print(`no group reads ${topic.name}`)
      else {
        const heads = ['GROUP', 'PARTITION', 'COMMITTED', 'END', 'LAG', 'BEHIND', 'OWNER']
        await terminal.print(columns([heads, ...found.flatMap(groupRows)]))
      }
      return EXIT.done
    }),
}

const reset: Command = {
  name: 'topic reset',
  summary: 'set where a group goes on',
  parameters: ['TOPIC', 'GROUP'],
  flags: { to: { value: 'POSITION', help: POSITIONS }, ...CLIENT_FLAGS },
  examples: [
    ['troupe topic reset orders billing --to earliest', 'replay everything that is kept'],
    ['troupe topic reset orders billing --to 2031-12-24T18:00Z', 'replay what came since'],
    ['troupe topic reset orders billing --to 0:120,1:95', 'these offsets; other partitions begin with what is kept'],
  ],
  notes: ['End the members of the group first: while it has some the answer is CONFLICT.'],
  run: (line, terminal) =>
    withClient(line, terminal, async (client) => {
      const group = line.parameter(1)
      const to = positionOf(line, 'to')
      if (to === undefined) throw line.wrong(`'topic reset' needs --to: ${POSITIONS}`)
      const topic = client.topic(definition(await knownTopic(client, line.parameter(0), callOptions(line))))
      await topic.reset(group, to, callOptions(line))
      const [found] = (await topic.groups(callOptions(line))).filter((each) => each.group === group)
      if (line.has('json')) await terminal.print(json({ topic: topic.name, ...found }))
      else await terminal.print(`${group} goes on at ${found?.partitions.map(offsetText).join(', ')}`)
      return EXIT.done
    }),
}

const remove: Command = {
  name: 'topic delete',
  summary: 'delete a topic with all it holds',
  parameters: ['TOPIC'],
  flags: { yes: { help: 'I mean it' }, ...CLIENT_FLAGS },
  examples: [['troupe topic delete orders --yes', 'its records, rules and groups']],
  notes: ['End the members of its groups first: while there are some the answer is CONFLICT.'],
  run: (line, terminal) =>
    withClient(line, terminal, async (client) => {
      if (!line.has('yes')) throw line.wrong(`'topic delete' deletes for good: confirm it with --yes`)
      const topic = client.topic(definition(await knownTopic(client, line.parameter(0), callOptions(line))))
      await topic.delete(callOptions(line))
      await terminal.print(line.has('json') ? json({ topic: topic.name }) : 'deleted')
      return EXIT.done
    }),
}

export const TOPIC_COMMANDS: readonly Command[] = [list, publish, tail, groups, reset, remove]

async function definitionOf(client: Client, line: CommandLine): Promise<TopicDefinition<unknown>> {
  const { name, ...place } = placeOf(line.parameter(0))
  const fresh = defineTopic(name, place)
  const known = (await client.topics(callOptions(line))).find((topic) => topic.name === fresh.name)
  return known === undefined ? fresh : definition(known)
}

function definition({ name, rules }: NamedTopic): TopicDefinition<unknown> {
  return { kind: 'topic', name, schema: undefined, rules }
}

async function tailTopics(client: Client, line: CommandLine, terminal: Terminal): Promise<number> {
  const signal = terminal.interruption()
  const batches = await batchesOf(client, line, signal)
  const isPattern = PATTERN.test(line.parameter(0))
  const textOf = line.has('json') ? json : (record: TopicRecord<unknown>) => recordText(record, isPattern)
  let left = line.count('limit', 1) ?? Number.POSITIVE_INFINITY
  try {
    for await (const batch of batches) {
      const printed = Math.min(left, batch.records.length)
      for (const record of batch.records.slice(0, printed)) await terminal.print(textOf(record))
      // A batch whose end was not printed comes again.
      if (printed === batch.records.length) await batch.commit()
      left -= printed
      if (left <= 0) break
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
  return EXIT.done
}

async function batchesOf(
  client: Client,
  line: CommandLine,
  signal: AbortSignal,
): Promise<AsyncIterable<TopicBatch<unknown>>> {
  const name = line.parameter(0)
  const from = positionOf(line, 'from')
  const group = line.text('group')
  const options = { signal, ...(from === undefined ? {} : { from }) }
  if (!PATTERN.test(name)) {
    const topic = client.topic(definition(await knownTopic(client, name, {})))
    if (group === undefined) return topic.subscribe(options)
    // The group goes on right after what was printed last.
    return topic.subscribe({ ...options, group, ...(line.has('limit') ? { batch: 1 } : {}) })
  }
  if (group !== undefined) throw line.wrong('a group reads one topic, not a pattern')
  return client.subscribe(name, options)
}

/** Of a pattern each line begins with the topic. */
function recordText({ topic, partition, offset, key, value }: TopicRecord<unknown>, isPattern: boolean): string {
  return `${isPattern ? `${topic}\t` : ''}${partition}:${offset}\t${key}\t${show(value)}`
}

function topicRow({ name, rules }: NamedTopic): readonly string[] {
  const limits = [
    ...(Number.isFinite(rules.keepMs) ? [elapsed(rules.keepMs)] : []),
    ...(Number.isFinite(rules.keepCount) ? [`${rules.keepCount} records a partition`] : []),
    ...(Number.isFinite(rules.keepBytes) ? [`${rules.keepBytes} bytes a partition`] : []),
    ...(rules.compact ? ['the newest of each key'] : []),
  ]
  return [name, String(rules.partitions), limits.length === 0 ? 'everything' : limits.join(', ')]
}

function groupRows({ group, members, partitions }: GroupOffsets): readonly string[][] {
  return partitions.map(({ partition, committed, end, lagMs }) => {
    const owner = members.find((member) => member.partitions.includes(partition))?.member ?? '-'
    const lag = committed < end ? end - committed : 0n
    return [group, String(partition), String(committed), String(end), String(lag), elapsed(lagMs), owner]
  })
}

function offsetText({ partition, committed }: GroupOffsets['partitions'][number]): string {
  return `${partition}:${committed}`
}

function positionOf(line: CommandLine, flag: string): Position | undefined {
  const text = line.text(flag)
  if (text === undefined || text === 'earliest' || text === 'latest') return text
  if (OFFSETS.test(text)) {
    const offsets = text.split(',').map((place): readonly [number, bigint] => {
      const [partition, offset = ''] = place.split(':')
      return [Number(partition), BigInt(offset)]
    })
    return { offsets: new Map(offsets) }
  }
  const ago = /[a-z]$/.test(text) ? parseDuration(text) : undefined
  const time = ago === undefined ? parseTime(text) : Date.now() - ago
  if (time !== undefined) return { time }
  throw line.wrong(`--${flag} takes ${POSITIONS}, not '${text}'`)
}
