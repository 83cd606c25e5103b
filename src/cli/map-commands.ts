/** The map commands read, write and watch maps of a running cluster. */

import type { MapChange, MapEntry, TroupeMap, Versioned } from '../data/map.ts'
import { defineMap } from '../data/map.ts'
import type { Written } from '../driver/contract.ts'
import { CLIENT_FLAGS, callOptions, withClient } from './client-command.ts'
import type { Client, Command, Terminal } from './command.ts'
import type { CommandLine, Flags } from './command-line.ts'
import { EXIT } from './failure.ts'
import { json, show } from './text.ts'
import { givenValue, VALUE_FLAGS } from './value.ts'

const READ_FLAG: Flags = {
  read: { value: 'LEVEL', help: 'linearizable (default), local, or the greatest age allowed, such as 500ms' },
}
const IF_REVISION_FLAG: Flags = {
  'if-revision': {
    value: 'N',
    help: 'only if this is the present revision, else CONFLICT; 0: only if the key is absent',
  },
}
const PREFIX_FLAG: Flags = { prefix: { value: 'TEXT', help: 'only keys that begin with this' } }

const SHOWN_AS = `Texts are printed as they are, everything else as JSON. What JSON lacks (dates, sets, bytes) is shown as Node shows it,
and with --json as its nearest: bytes as base64, sets and maps as lists, revisions as texts of digits.`

const get: Command = {
  name: 'map get',
  summary: 'the value of a key',
  parameters: ['MAP', 'KEY'],
  flags: { ...READ_FLAG, ...CLIENT_FLAGS },
  examples: [
    ['troupe map get users ann', 'the newest value'],
    ['troupe map get users ann --read local', 'what the nearest replica holds, even without a majority'],
    ['troupe map get users ann --json', 'with its revision and where the answer came from'],
  ],
  notes: [SHOWN_AS, 'A key without a value ends with exit code 1; with --json its revision is 0.'],
  run: (line, terminal) => withMap(line, terminal, (map) => getValue(map, line, terminal)),
}

const set: Command = {
  name: 'map set',
  summary: 'store a value',
  parameters: ['MAP', 'KEY', 'VALUE'],
  flags: {
    ...VALUE_FLAGS,
    ...IF_REVISION_FLAG,
    ...CLIENT_FLAGS,
  },
  examples: [
    ['troupe map set greetings hello Hi', 'a text'],
    [`troupe map set users ann '{"age":7}' --json-value`, 'an object'],
    ['troupe map set users ann - < ann.txt', 'the text on standard input'],
    ['troupe map set users ann Ann --if-revision 0', 'only if there is no ann yet'],
    ['troupe map set numbers zero -- -1', 'a value that begins with -'],
  ],
  notes: [
    'Done means: a majority has it on disk (unless the cluster was started with a lesser durability). Prints the revision.',
  ],
  run: (line, terminal) => withMap(line, terminal, (map) => setValue(map, line, terminal)),
}

const remove: Command = {
  name: 'map delete',
  summary: 'remove a key',
  parameters: ['MAP', 'KEY'],
  flags: { ...IF_REVISION_FLAG, ...CLIENT_FLAGS },
  examples: [
    ['troupe map delete users ann', 'remove it, if it is there'],
    ['troupe map delete users ann --if-revision 1700000000000000', 'only if nobody changed it since'],
  ],
  notes: ['A key that is absent is no error: it says so, and with --json "existed" is false.'],
  run: (line, terminal) => withMap(line, terminal, (map) => deleteKey(map, line, terminal)),
}

const scan: Command = {
  name: 'map scan',
  summary: 'keys and values in key order',
  parameters: ['MAP'],
  flags: {
    ...PREFIX_FLAG,
    from: { value: 'KEY', help: 'the first key; default: the first of the map' },
    until: { value: 'KEY', help: 'the key before which to stop; default: after the last' },
    reverse: { help: 'from the last key to the first' },
    limit: { value: 'N', help: 'at most so many; default: all' },
    ...READ_FLAG,
    ...CLIENT_FLAGS,
  },
  examples: [
    ['troupe map scan users', 'everything'],
    ['troupe map scan users --prefix eu/ --limit 10', 'the first ten that begin with eu/'],
    ['troupe map scan users --reverse --limit 1', 'the last one'],
    ['troupe map scan users --json | jq .key', 'one JSON document a line'],
  ],
  notes: [SHOWN_AS],
  run: (line, terminal) => withMap(line, terminal, (map) => scanMap(map, line, terminal)),
}

const watch: Command = {
  name: 'map watch',
  summary: 'changes as they happen, until Ctrl-C',
  parameters: ['MAP'],
  flags: {
    ...PREFIX_FLAG,
    from: { value: 'POSITION', help: 'after this revision, or right after this cursor; default: from now on' },
    limit: { value: 'N', help: 'end after so many changes' },
    connect: CLIENT_FLAGS.connect ?? { help: '' },
    json: CLIENT_FLAGS.json ?? { help: '' },
    help: CLIENT_FLAGS.help ?? { help: '' },
  },
  examples: [
    ['troupe map watch users', 'from now on'],
    ['troupe map watch users --json | jq .cursor', 'the cursor of a change resumes right after it'],
    ['troupe map watch users --from 1700000000000000', 'everything since that revision'],
  ],
  notes: ['The watch moves to another node when one is lost; no change is left out.'],
  run: (line, terminal) => withMap(line, terminal, (map) => watchMap(map, line, terminal)),
}

export const MAP_COMMANDS: readonly Command[] = [get, set, remove, scan, watch]

type AnyMap = TroupeMap<unknown>

function withMap(line: CommandLine, terminal: Terminal, use: (map: AnyMap) => Promise<number>): Promise<number> {
  const definition = defineMap(line.parameter(0))
  return withClient(line, terminal, (client: Client) => use(client.map(definition)))
}

async function getValue(map: AnyMap, line: CommandLine, terminal: Terminal): Promise<number> {
  const key = line.parameter(1)
  const found: Versioned<unknown> | undefined = await map.get(key, { ...callOptions(line), ...readOption(line) })
  if (line.has('json')) {
    const { value, revision, receipt } = found ?? { value: null, revision: 0n, receipt: undefined }
    await terminal.print(json({ map: map.name, key, value, revision, receipt }))
  } else if (found !== undefined) await terminal.print(show(found.value))
  else terminal.complain(`'${key}' has no value in ${map.name}`)
  return found === undefined ? EXIT.failed : EXIT.done
}

async function setValue(map: AnyMap, line: CommandLine, terminal: Terminal): Promise<number> {
  const key = line.parameter(1)
  const value = await givenValue(line, 2, terminal)
  const written = await map.set(key, value, { ...callOptions(line), ...ifRevisionOption(line) })
  await terminal.print(
    line.has('json') ? json({ map: map.name, key, ...plain(written) }) : `revision ${written.revision}`,
  )
  return EXIT.done
}

async function deleteKey(map: AnyMap, line: CommandLine, terminal: Terminal): Promise<number> {
  const key = line.parameter(1)
  const { existed, ...written } = await map.delete(key, { ...callOptions(line), ...ifRevisionOption(line) })
  if (line.has('json')) await terminal.print(json({ map: map.name, key, existed, ...plain(written) }))
  else
    await terminal.print(existed ? `deleted at revision ${written.revision}` : `'${key}' had no value in ${map.name}`)
  return EXIT.done
}

async function scanMap(map: AnyMap, line: CommandLine, terminal: Terminal): Promise<number> {
  const prefix = line.text('prefix')
  const from = line.text('from')
  const until = line.text('until')
  const limit = line.count('limit')
  const entries = map.scan({
    ...callOptions(line),
    ...readOption(line),
    ...(prefix === undefined ? {} : { prefix }),
    ...(from === undefined ? {} : { from }),
    ...(until === undefined ? {} : { until }),
    ...(limit === undefined ? {} : { limit }),
    reverse: line.has('reverse'),
  })
  for await (const entry of entries) await terminal.print(line.has('json') ? json(entry) : entryText(entry))
  return EXIT.done
}

function entryText({ key, value }: MapEntry<unknown>): string {
  return `${key}\t${show(value)}`
}

async function watchMap(map: AnyMap, line: CommandLine, terminal: Terminal): Promise<number> {
  const signal = terminal.interruption()
  const prefix = line.text('prefix')
  const position = line.text('from')
  const from = position !== undefined && /^\d+$/.test(position) ? BigInt(position) : position
  const limit = line.count('limit', 1) ?? Number.POSITIVE_INFINITY
  const changes = map.watch({
    signal,
    ...(prefix === undefined ? {} : { prefix }),
    ...(from === undefined ? {} : { from }),
  })
  let seen = 0
  try {
    for await (const change of changes) {
      await terminal.print(line.has('json') ? json(change) : changeText(change))
      if (++seen >= limit) break
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
  return EXIT.done
}

function changeText(change: MapChange<unknown>): string {
  return change.type === 'set' ? `set\t${change.key}\t${show(change.value)}` : `delete\t${change.key}`
}

function plain({ revision, receipt }: Written): Written {
  return { revision, receipt }
}

function readOption(line: CommandLine): { readonly read?: NonNullable<ReturnType<CommandLine['readLevel']>> } {
  const read = line.readLevel('read')
  return read === undefined ? {} : { read }
}

function ifRevisionOption(line: CommandLine): { readonly ifRevision?: bigint } {
  const ifRevision = line.revision('if-revision')
  return ifRevision === undefined ? {} : { ifRevision }
}
