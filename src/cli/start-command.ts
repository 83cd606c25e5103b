/** The start command runs one node in this process, without any user code. */

import { setFlagsFromString } from 'node:v8'
import { DEFAULT_DRAIN_MS } from '../base/time.ts'
import { type InlineEngine, startInlineEngine } from '../platform/inline-engine.ts'
import type { OptionName } from '../runtime/option-table.ts'
import { OPTIONS } from '../runtime/option-table.ts'
import { type Environment, parseOptions, type Settings } from '../runtime/options.ts'
import { HELP_FLAG } from './client-command.ts'
import type { Command, Terminal } from './command.ts'
import type { CommandLine, Flag } from './command-line.ts'
import { EXIT } from './failure.ts'
import { json } from './text.ts'

/** Options of `open` that a node without user code has no use for, or that must not be seen in a list of processes. */
const NOT_FLAGS: ReadonlySet<OptionName> = new Set<OptionName>(['connect', 'driver', 'engine', 'secret'])
const DEFAULT_LISTEN = '127.0.0.1:7400'
/** V8 collects everything when so many percent more have come: see docs/decisions/0011. This process is ours alone. */
const HEAP_GROWTH = '--heap-growing-percent=100'
const FLAG_OPTIONS = (Object.keys(OPTIONS) as OptionName[]).filter((name) => !NOT_FLAGS.has(name))

export const START_COMMAND: Command = {
  name: 'start',
  summary: 'run one node in this process',
  parameters: [],
  flags: {
    ...Object.fromEntries(FLAG_OPTIONS.map((name) => [flagName(name), flagOf(name)])),
    json: { help: 'print the ready line as JSON' },
    ...HELP_FLAG,
  },
  examples: [
    ['troupe start --data-dir ./data --listen 127.0.0.1:7400', 'a cluster of one'],
    [
      'troupe start --data-dir ./n1 --listen 127.0.0.1:7401 --join 127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403',
      'the first of three',
    ],
    [
      'TROUPE_SECRET=… troupe start --listen 10.0.0.1:7400 --join 10.0.0.1:7400,10.0.0.2:7400,10.0.0.3:7400',
      'beyond this machine',
    ],
  ],
  notes: [
    `Each option can be given as an environment variable, too: --data-dir as TROUPE_DATA_DIR, and so on. The secret is given only so
(TROUPE_SECRET, at least 32 bytes, the same everywhere).`,
    `Prints one line once it listens. SIGTERM and Ctrl-C drain: leaderships are handed over, what is under way is finished, exit code 0.
A second one ends it at once. Exit code 74: the disk failed or its data is damaged; 70: Troupe contradicts itself, please report it.`,
  ],
  run: start,
}

async function start(line: CommandLine, terminal: Terminal): Promise<number> {
  setFlagsFromString(HEAP_GROWTH)
  const settings = parseOptions(optionsOf(line, terminal.environment), terminal.environment)
  const stop = terminal.interruption()
  const engine = await startInlineEngine(settings, true)
  try {
    await terminal.print(readyLine(engine, settings, line.has('json')))
    await aborted([stop, engine.failed])
    if (engine.failed.aborted) throw engine.failed.reason
    await engine.drain(DEFAULT_DRAIN_MS)
  } finally {
    await engine.close()
  }
  return EXIT.done
}

function readyLine({ node, cluster, address }: InlineEngine, { dataDir }: Settings, asJson: boolean): string {
  const { pid } = process
  if (asJson) return json({ event: 'ready', node, cluster, address, dataDir, pid })
  const data = dataDir === undefined ? 'in memory: give --data-dir to keep it' : `in ${dataDir}`
  return `node ${node} of cluster ${cluster} listens on ${address} (pid ${pid}); its data is ${data}`
}

function aborted(signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of signals) {
      if (signal.aborted) resolve()
      signal.addEventListener('abort', () => resolve(), { once: true })
    }
  })
}

/** What the flags say; a node that nobody could reach would be of no use, so that without any address it gets the usual one. */
function optionsOf(line: CommandLine, environment: Environment): Record<string, unknown> {
  const options: Record<string, unknown> = environment.TROUPE_LISTEN ? {} : { listen: DEFAULT_LISTEN }
  for (const name of FLAG_OPTIONS) {
    const flag = flagName(name)
    if (!line.has(flag)) continue
    const { kind } = OPTIONS[name]
    options[name] = kind === 'list' ? line.list(flag) : kind === 'number' ? line.count(flag) : line.text(flag)
  }
  return options
}

function flagOf(name: OptionName): Flag {
  const { meaning, type } = OPTIONS[name]
  const [sentence = meaning] = meaning.split(/(?<=\w\.) (?=[A-Z])/)
  const usual = name === 'listen' ? DEFAULT_LISTEN : OPTIONS[name].default.replaceAll(/['`]/g, '')
  return { value: placeholder(type), help: `${sentence} Default: ${usual}.` }
}

/** `'disk' | 'os'` becomes `disk|os`, a range of numbers `N`, any other type its name in capitals. */
function placeholder(type: string): string {
  if (type.includes("'")) return type.replaceAll(/[' ]/g, '')
  return /^(integer|number)/.test(type) ? 'N' : type.toUpperCase()
}

/** `dataDir` is given as `--data-dir`. */
function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
