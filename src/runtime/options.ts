/** The options of `open` are what a user may set, in code or by environment variables; settings are what they come to. */

import { invalidArgument, refuseUnknownOptions, unknownName } from '../base/argument.ts'
import { TroupeError } from '../base/error.ts'
import type { NodeId } from '../base/identity.ts'
import type { Millis } from '../base/time.ts'
import type { Driver } from '../driver/contract.ts'
import type { Address } from './address.ts'
import { formatAddress, isLoopback, parseAddress } from './address.ts'
import type { Durability, EngineMode, OptionName, OptionValues } from './option-table.ts'
import { OPTIONS } from './option-table.ts'

/** What `open` takes; each with its environment variable and its costs is on the reference page `options.md`. */
export interface OpenOptions {
  /** Where the node keeps its data; default: nowhere, in memory. */
  readonly dataDir?: string
  /** `host:port` on which nodes and clients are served; default: no port, or with `join` 127.0.0.1:7400. */
  readonly listen?: string
  /** `host:port` under which others reach this node; default: `listen`. */
  readonly advertise?: string
  /** `host:port` of the members with which the cluster begins, this node among them. */
  readonly join?: readonly string[]
  /** `host:port` of nodes to be a client of; this process then hosts nothing. */
  readonly connect?: readonly string[]
  /** The node's id, 1 to 64 of `A–Z a–z 0–9 . _ -`; default: made up at first, then kept in `dataDir`. */
  readonly node?: string
  /** The cluster's name, in the same form; nodes of different names refuse each other. */
  readonly cluster?: string
  /** At least 32 bytes, known to every node and client; never sent. */
  readonly secret?: string
  /** What an acknowledged write has reached on a majority; default `'disk'` with `dataDir`, else `'memory'`. */
  readonly durability?: Durability
  /** Into how many shards keys are divided; fixed when the cluster begins. Default 16. */
  readonly shards?: number
  /** Where the engine runs; default `'thread'`. */
  readonly engine?: EngineMode
  /** Milliseconds without a sign of the leader before an election; default 1000. */
  readonly electionTimeoutMs?: Millis
  /** Milliseconds between a leader's repetitions; default 50. */
  readonly heartbeatMs?: Millis
  /** Another engine instead of Troupe's own; no other option goes with it. */
  readonly driver?: Driver
}

/** Options after parsing: complete, checked and free of contradictions. */
export interface Settings {
  readonly dataDir: string | undefined
  /** Undefined: the node opens no port. */
  readonly listen: Address | undefined
  /** Undefined: the address that is really bound. */
  readonly advertise: Address | undefined
  /** Empty: the node is a cluster of its own. Otherwise it holds the node's own address. */
  readonly join: readonly Address[]
  /** Not empty: a client, which hosts nothing. */
  readonly connect: readonly Address[]
  readonly node: NodeId | undefined
  readonly cluster: string | undefined
  readonly secret: string | undefined
  readonly durability: Durability
  readonly shards: number
  readonly engine: EngineMode
  readonly electionTimeoutMs: Millis
  readonly heartbeatMs: Millis
  readonly driver: Driver | undefined
}

/** Environment variables, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>

const NAMES = Object.keys(OPTIONS) as readonly OptionName[]
const KNOWN: ReadonlySet<string> = new Set(NAMES)
const VARIABLE_PREFIX = 'TROUPE_'
const DEFAULT_LISTEN = '127.0.0.1:7400'
/** What a client, which hosts nothing, may say. */
const CLIENT_OPTIONS: ReadonlySet<OptionName> = new Set<OptionName>(['connect', 'cluster', 'secret'])

/**
 * What the options come to, those of the environment filling in where `options` says nothing.
 *
 * @throws TroupeError `INVALID_ARGUMENT`, `ADDRESS_INVALID` or `INSECURE`, which names the option or variable
 */
export function parseOptions(options: OpenOptions = {}, environment: Environment = {}): Settings {
  refuseUnknownOptions('open', options, KNOWN)
  const given = readOptions(options)
  if (given.driver !== undefined) {
    refuseBeside('driver', given, new Set<OptionName>(['driver']))
    return settle(given)
  }
  const complete = { ...readEnvironment(environment), ...given }
  if (complete.connect !== undefined) refuseBeside('connect', complete, CLIENT_OPTIONS)
  const settings = settle(complete)
  checkSettings(settings)
  return settings
}

type Given = Partial<OptionValues>

function readOptions(options: OpenOptions): Given {
  const given: Record<string, unknown> = {}
  for (const name of NAMES) {
    const raw = options[name]
    if (raw !== undefined) given[name] = OPTIONS[name].read(raw, name)
  }
  return given
}

/** An empty variable counts as none: it is how shells and compose files unset one. */
function readEnvironment(environment: Environment): Given {
  const byVariable = new Map(NAMES.map((name) => [OPTIONS[name].variable, name]))
  const given: Record<string, unknown> = {}
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith(VARIABLE_PREFIX) || text === undefined || text === '') continue
    const name = byVariable.get(variable)
    if (name === undefined) {
      const known = [...byVariable.keys()].filter((candidate) => candidate !== undefined)
      throw invalidArgument(unknownName('there is no environment variable', variable, known))
    }
    const { kind, read } = OPTIONS[name]
    given[name] = read(parsedAs(kind, text), variable)
  }
  return given
}

function parsedAs(kind: 'text' | 'number' | 'list' | 'object', text: string): unknown {
  if (kind === 'number') return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text
  return kind === 'list' ? text.split(',').map((item) => item.trim()) : text
}

function settle(given: Given): Settings {
  const listen = given.listen ?? (given.join === undefined ? undefined : parseAddress(DEFAULT_LISTEN))
  return {
    dataDir: given.dataDir,
    listen,
    advertise: given.advertise,
    join: given.join ?? [],
    connect: given.connect ?? [],
    node: given.node,
    cluster: given.cluster,
    secret: given.secret,
    durability: given.durability ?? (given.dataDir === undefined ? 'memory' : 'disk'),
    shards: given.shards ?? 16,
    engine: given.engine ?? 'thread',
    electionTimeoutMs: given.electionTimeoutMs ?? 1000,
    heartbeatMs: given.heartbeatMs ?? 50,
    driver: given.driver,
  }
}

function refuseBeside(mode: OptionName, given: Given, allowed: ReadonlySet<OptionName>): void {
  const stray = NAMES.find((name) => given[name] !== undefined && !allowed.has(name))
  if (stray === undefined) return
  const variable = OPTIONS[stray].variable
  const where = variable === undefined ? `'${stray}'` : `'${stray}' (or ${variable})`
  throw invalidArgument(`${where} does not go with '${mode}', which hosts no node: remove one of them`)
}

function checkSettings(settings: Settings): void {
  const { dataDir, durability, electionTimeoutMs, heartbeatMs } = settings
  if (dataDir === undefined && durability !== 'memory') {
    throw invalidArgument(`durability '${durability}' needs a dataDir (TROUPE_DATA_DIR) to write to`)
  }
  if (heartbeatMs * 3 > electionTimeoutMs) {
    throw invalidArgument(`heartbeatMs (${heartbeatMs}) is at most a third of electionTimeoutMs (${electionTimeoutMs})`)
  }
  checkReach(settings)
  checkMembers(settings)
}

/** A port that other machines reach is guarded by a secret. */
function checkReach({ listen, advertise, secret }: Settings): void {
  if (advertise !== undefined && listen === undefined) {
    throw invalidArgument('advertise says where this node is reached, but it listens nowhere: give listen, too')
  }
  const open = [listen, advertise].find((address) => address !== undefined && !isLoopback(address))
  if (open === undefined || secret !== undefined) return
  throw new TroupeError(
    'INSECURE',
    `other machines reach ${formatAddress(open)}: set a secret of at least 32 bytes (TROUPE_SECRET), or listen on 127.0.0.1`,
    { details: { address: formatAddress(open) } },
  )
}

/** The first members are found by their addresses, so that each of them must find its own among them. */
function checkMembers({ join, listen, advertise }: Settings): void {
  const texts = join.map(formatAddress)
  const repeated = texts.find((text, at) => texts.indexOf(text) !== at)
  if (repeated !== undefined) throw invalidArgument(`join names ${repeated} twice`)
  if (join.length === 2)
    throw invalidArgument(
      'join names two members, and either would take half of all shards with it: name one, or three',
    )
  const own = advertise ?? listen
  if (join.length === 0 || own === undefined || texts.includes(formatAddress(own))) return
  throw invalidArgument(
    `join (${texts.join(', ')}) lacks this node's own address ${formatAddress(own)}: add it, or set listen or advertise to one of them`,
  )
}
