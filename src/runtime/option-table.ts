/** The option table describes every option of `open`: it drives parsing, the checks, and the reference page. */

import { invalidArgument } from '../base/argument.ts'
import type { NodeId } from '../base/identity.ts'
import { isNodeId } from '../base/identity.ts'
import type { Millis } from '../base/time.ts'
import type { Driver } from '../driver/contract.ts'
import type { Address } from './address.ts'
import { parseAddress } from './address.ts'

/** What an acknowledged write has reached on a majority: its disks, its operating systems' caches, its memory. */
export type Durability = 'disk' | 'os' | 'memory'
/** Where the engine runs: in a thread of its own, or on the application's event loop. */
export type EngineMode = 'thread' | 'inline'

/** What each option is once it has been read. */
export interface OptionValues {
  readonly dataDir: string
  readonly listen: Address
  readonly advertise: Address
  readonly join: readonly Address[]
  readonly connect: readonly Address[]
  readonly node: NodeId
  readonly cluster: string
  readonly secret: string
  readonly durability: Durability
  readonly shards: number
  readonly engine: EngineMode
  readonly electionTimeoutMs: Millis
  readonly heartbeatMs: Millis
  readonly driver: Driver
}

export type OptionName = keyof OptionValues

export interface Option<Value> {
  /** How the text of a variable becomes what `read` takes: as it is, as a number, or as a list divided by commas. */
  readonly kind: 'text' | 'number' | 'list' | 'object'
  readonly type: string
  /** Empty where there is nothing to measure. */
  readonly unit: string
  readonly default: string
  /** The environment variable; undefined for what text cannot say. */
  readonly variable: string | undefined
  readonly meaning: string
  /** What it costs to turn. */
  readonly cost: string
  /** Checks what came from outside; `name` is the option or variable to name in an error. */
  readonly read: (raw: unknown, name: string) => Value
}

const LEAST_SECRET_BYTES = 32

/** The single place that knows the options' names. */
export const OPTIONS: { readonly [Name in OptionName]: Option<OptionValues[Name]> } = {
  dataDir: {
    kind: 'text',
    type: 'path',
    unit: '',
    default: 'none: in memory',
    variable: 'TROUPE_DATA_DIR',
    meaning: 'Where the node keeps its log, its snapshots and its identity.',
    cost: 'Without it nothing survives the process. A lost directory is a lost node: it must not come back under its old id.',
    read: text,
  },
  listen: {
    kind: 'text',
    type: 'address',
    unit: '',
    default: 'none; with `join` 127.0.0.1:7400',
    variable: 'TROUPE_LISTEN',
    meaning: 'Where nodes and clients are served. Port 0 takes a free one.',
    cost: 'An address that other machines reach needs a `secret`.',
    read: (raw, name) => parseAddress(text(raw, name), true),
  },
  advertise: {
    kind: 'text',
    type: 'address',
    unit: '',
    default: 'the `listen` address',
    variable: 'TROUPE_ADVERTISE',
    meaning: 'Under which address others reach this node, where it differs from `listen` (containers, NAT).',
    cost: 'A wrong one makes a node that starts and is never heard.',
    read: (raw, name) => parseAddress(text(raw, name)),
  },
  join: {
    kind: 'list',
    type: 'addresses',
    unit: '',
    default: 'none: a cluster of one',
    variable: 'TROUPE_JOIN',
    meaning: 'The members with which the cluster begins, this node among them; the same list on each of them.',
    cost: 'Three members survive the loss of one. Of more, each shard lives on three; two are refused, since each shard would live on one of them alone.',
    read: addresses,
  },
  connect: {
    kind: 'list',
    type: 'addresses',
    unit: '',
    default: 'none',
    variable: 'TROUPE_CONNECT',
    meaning: 'Nodes to be a client of: this process hosts nothing. Others are found from these.',
    cost: 'Each call crosses the network; a process that comes and goes costs the cluster nothing.',
    read: addresses,
  },
  node: {
    kind: 'text',
    type: 'id',
    unit: '',
    default: 'made up, kept in `dataDir`',
    variable: 'TROUPE_NODE',
    meaning: 'The name of this node in the cluster: 1 to 64 of A-Z a-z 0-9 . _ -',
    cost: 'Two nodes of one id refuse each other. An id belongs to its data directory for ever.',
    read: id,
  },
  cluster: {
    kind: 'text',
    type: 'id',
    unit: '',
    default: 'none',
    variable: 'TROUPE_CLUSTER',
    meaning: 'The name of the cluster; nodes and clients of another one are refused. Same form as `node`.',
    cost: 'Fixed once there is data.',
    read: id,
  },
  secret: {
    kind: 'text',
    type: 'text',
    unit: 'at least 32 bytes',
    default: 'none',
    variable: 'TROUPE_SECRET',
    meaning: 'What every node and client of the cluster proves to know. It is never sent.',
    cost: 'All restart to change it. It keeps strangers out; it does not encrypt.',
    read: secret,
  },
  durability: {
    kind: 'text',
    type: "'disk' | 'os' | 'memory'",
    unit: '',
    default: "'disk' with `dataDir`, else 'memory'",
    variable: 'TROUPE_DURABILITY',
    meaning:
      "What an acknowledged write has reached on a majority: its disks, its operating systems' caches, its memory.",
    cost: "'os' loses the newest writes when a majority loses power at once, 'memory' when a majority's processes end.",
    read: oneOf('disk', 'os', 'memory'),
  },
  shards: {
    kind: 'number',
    type: 'integer, 1 to 1024',
    unit: 'shards',
    default: '16',
    variable: 'TROUPE_SHARDS',
    meaning: 'Into how many shards keys are divided, each with a leader of its own.',
    cost: 'Fixed when the cluster begins. More spread the load over more nodes and make smaller batches.',
    read: (raw, name) => whole(number(1, 1024)(raw, name), name),
  },
  engine: {
    kind: 'text',
    type: "'thread' | 'inline'",
    unit: '',
    default: "'thread'",
    variable: 'TROUPE_ENGINE',
    meaning: 'Where the engine runs: in a thread of its own, or on the event loop of the application.',
    cost: "'inline' saves each call the way to another thread and back, which on a quick disk takes as long as the write itself; a handler that computes for a second then costs a leadership, and the handler waits for the disk. For a node that is alone, and has no leadership to lose.",
    read: oneOf('thread', 'inline'),
  },
  electionTimeoutMs: {
    kind: 'number',
    type: 'number, 100 to 60000',
    unit: 'ms',
    default: '1000',
    variable: 'TROUPE_ELECTION_TIMEOUT_MS',
    meaning: 'How long a follower waits for a sign of its leader before it stands for election.',
    cost: 'Lower: a lost leader is replaced sooner, and long pauses (garbage collection, a busy machine) replace healthy ones.',
    read: number(100, 60_000),
  },
  heartbeatMs: {
    kind: 'number',
    type: 'number, 10 to 10000',
    unit: 'ms',
    default: '50',
    variable: 'TROUPE_HEARTBEAT_MS',
    meaning:
      'How often a leader repeats itself while a follower has not confirmed everything. At most a third of `electionTimeoutMs`.',
    cost: 'Lower: lost messages are made good sooner, for more packets.',
    read: number(10, 10_000),
  },
  driver: {
    kind: 'object',
    type: 'Driver',
    unit: '',
    default: "Troupe's own engine",
    variable: undefined,
    meaning:
      'Another engine that carries the same API. No other option goes with it, and no environment variable is read.',
    cost: 'The guarantees are those of the engine.',
    read: driver,
  },
}

type Reader<Value> = (raw: unknown, name: string) => Value

function text(raw: unknown, name: string): string {
  if (typeof raw !== 'string' || raw === '') throw invalidArgument(`${name} is a text that is not empty`)
  return raw
}

function addresses(raw: unknown, name: string): readonly Address[] {
  if (!Array.isArray(raw) || raw.length === 0) throw invalidArgument(`${name} is a list of at least one 'host:port'`)
  return raw.map((item: unknown) => parseAddress(text(item, name)))
}

function id(raw: unknown, name: string): NodeId {
  const given = text(raw, name)
  if (!isNodeId(given)) {
    throw invalidArgument(`${name} has 1 to 64 of A-Z a-z 0-9 . _ - and is not '${given.slice(0, 100)}'`)
  }
  return given
}

function secret(raw: unknown, name: string): string {
  const bytes = new TextEncoder().encode(text(raw, name)).length
  // The message holds its length alone: messages are logged.
  if (bytes < LEAST_SECRET_BYTES)
    throw invalidArgument(`${name} has ${bytes} bytes, and ${LEAST_SECRET_BYTES} are the least`)
  return text(raw, name)
}

function oneOf<const Choice extends string>(...choices: Choice[]): Reader<Choice> {
  return (raw, name) => {
    const chosen = choices.find((choice) => choice === raw)
    if (chosen === undefined) throw invalidArgument(`${name} is one of '${choices.join("', '")}'`)
    return chosen
  }
}

function number(least: number, most: number): Reader<number> {
  return (raw, name) => {
    if (typeof raw === 'number' && raw >= least && raw <= most) return raw
    throw invalidArgument(`${name} is a number from ${least} to ${most}`)
  }
}

function whole(value: number, name: string): number {
  if (!Number.isInteger(value)) throw invalidArgument(`${name} is a whole number`)
  return value
}

function driver(raw: unknown, name: string): Driver {
  if (typeof raw !== 'object' || raw === null || !('name' in raw && 'status' in raw && 'close' in raw)) {
    throw invalidArgument(`${name} is a Driver, such as memoryDriver()`)
  }
  return raw as Driver
}
