/** An operation is one call of the driver on its way: what it asks, where it is now, and whose promise it settles. */

import type { ByteWriter } from '../../../base/bytes.ts'
import type { SessionId } from '../../../base/identity.ts'
import type { Millis } from '../../../base/time.ts'
import type { Receipt } from '../../contract.ts'
import type { Session } from './session.ts'

/** What an operation asks and how its answer is read; one constant object for each kind, so that an operation carries no closures. */
export interface Verb<Answer> {
  /** The `OPERATION` of its requests. */
  readonly operation: number
  /** A write happens at most once and can end as `OUTCOME_UNKNOWN`; anything else may be asked again at will. */
  readonly isWrite: boolean
  /** It gives something back, and so it is still carried while the driver closes. */
  readonly isFarewell?: true
  /** Writes the bytes of the request. */
  encode(writer: ByteWriter, operation: Operation<Answer>): void
  /** Reads the answer, a view; throws what the call rejects with, or {@link NotYet}. */
  decode(bytes: Uint8Array, operation: Operation<Answer>): Answer
}

/** Thrown by {@link Verb.decode}: this copy was certainly not executed, and the operation is to be sent again. */
export class NotYet {
  /** The session is gone, so that the operation needs a new one. */
  readonly isExpired: boolean

  constructor(isExpired: boolean) {
    this.isExpired = isExpired
  }
}

/** Methods are compared bivariantly, which lets operations of all answers share a table. */
interface Settler<Answer> {
  resolve(answer: Answer): void
}

/** What carries requests; see `Link`. */
export interface Carrier {
  /** The answer to this request is no longer wanted. */
  forget(requestId: number): void
}

/** The parts of an operation that its verb reads. Unused ones keep their defaults, so that all operations have one shape. */
export interface Asked {
  readonly map?: string
  readonly key?: string
  readonly value?: Uint8Array
  readonly ifRevision?: number | undefined
  /** Of the lease that it relies on. */
  readonly token?: number
  /** Greatest age for a local read in milliseconds; Infinity for any. */
  readonly maxAge?: Millis
  /** For what has no key: the shard that is asked. */
  readonly shard?: number
  /** For what has no shard either. */
  readonly group?: number
}

/** In the place of a group: any node answers, whatever it hosts. */
export const ANY_NODE = -2

const NO_RECEIPT: Receipt = { guarantee: 'linearizable', shard: -1, ageMs: 0, durability: 'memory' }

const NOTHING = new Uint8Array(0)

/**
 * Invariant: `link` is set while a copy is under way on it, and its table then holds the operation as `requestId`.
 * Invariant: `parked` is set while the operation waits for a link, a leader or the topology.
 */
export class Operation<Answer> {
  readonly verb: Verb<Answer>
  readonly map: string
  readonly key: string
  /** Not to be changed by the caller before the promise settles: a retry reads it again. */
  readonly value: Uint8Array
  readonly ifRevision: number | undefined
  readonly token: number
  readonly maxAge: Millis
  /** -1 until the topology is known, for an operation that has a key. */
  shard: number
  group: number
  receipt: Receipt = NO_RECEIPT
  /** The session of a write, from its first copy on. */
  source: Session | undefined
  session: SessionId
  sequence = 0
  acknowledged = 0

  link: Carrier | undefined
  requestId = 0
  parked: Set<Operation<unknown>> | undefined
  /** An earlier copy may have been executed, or may still be. */
  isExposed = false
  /** A node answered that nobody leads the shard. */
  isLeaderless = false
  /** Times in a row that a node pointed to another one. */
  hops = 0
  isDone = false

  /** Neighbours among the operations of the same timeout; see `Deadlines`. */
  previous: Operation<unknown> | undefined
  next: Operation<unknown> | undefined
  timeout: Millis = 0
  deadline: Millis = 0

  signal: AbortSignal | undefined
  resolve: Settler<Answer>['resolve'] = ignore
  reject: (error: unknown) => void = ignore

  constructor(verb: Verb<Answer>, asked: Asked) {
    this.verb = verb
    this.map = asked.map ?? ''
    this.key = asked.key ?? ''
    this.value = asked.value ?? NOTHING
    this.ifRevision = asked.ifRevision
    this.token = asked.token ?? 0
    this.maxAge = asked.maxAge ?? -1
    this.shard = asked.shard ?? -1
    this.group = asked.group ?? -1
    this.session = 0 as SessionId
  }

  /** An estimate of what it occupies while it is under way. */
  get bytes(): number {
    return OPERATION_BYTES + this.map.length + this.key.length * 3 + this.value.length
  }

  /** Some copy of this write has left and may have had its effect. */
  get mayHaveHappened(): boolean {
    return this.verb.isWrite && (this.isExposed || this.link !== undefined)
  }

  /** How an operation of an unknown outcome is asked about. */
  get id(): string {
    return `${this.group}.${this.session}.${this.sequence}`
  }
}

/** Of the object, its promise and its places in tables; measured roughly. */
const OPERATION_BYTES = 256

function ignore(): void {}
