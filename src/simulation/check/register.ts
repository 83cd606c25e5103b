/** A register is the sequential specification of one key: a value with a revision, or absent. */

import { required } from '../../base/assert.ts'
import type { Operation } from './history.ts'

/** Stands for "no write yet": the key is absent. */
export const INITIAL = -1

/** Interchangeable operations; see {@link Register.spareRow}. */
export type SpareRow = 0 | 1 | 2 | 3

/** Because no two writes carry the same value, the state is which write came last, and how far revisions have grown. */
export interface State {
  /** The number of the last write that changed the key, or {@link INITIAL}. */
  readonly write: number
  /** The highest revision known to be in use; it follows from which operations came before, in whatever order. */
  readonly revision: number
}

const UNKNOWN = undefined
/** Stands for any present value that nobody read. */
const UNREAD = -2

/**
 * Explains replies. The revision of an unknown write is learned from whoever read its value. One that nobody read stays
 * open, and fits any revision that is not known to belong to another write.
 */
export class Register {
  /** Some reply may be owed to an unknown write that nobody read. */
  readonly mayNeedUnread: boolean
  /** The operations that take part in the search. */
  readonly operations: readonly Operation[]
  readonly #revisions: (number | undefined)[]
  readonly #known: ReadonlySet<number>
  /** The known revision that comes after another one: writes that certainly changed the key did it in this order. */
  readonly #after = new Map<number, number>()

  /** @param withUnread whether unknown writes that nobody read take part, if they can explain anything */
  constructor(all: readonly Operation[], withUnread: boolean) {
    const happened = all.filter(
      (operation) => operation.outcome === 'ok' || (operation.outcome === 'unknown' && operation.call.type !== 'get'),
    )
    const read = revisionsRead(happened)
    const revisionOf = (operation: Operation): number | undefined => writtenRevision(operation, read)
    this.#known = new Set(happened.map(revisionOf).filter((revision) => revision !== UNKNOWN))
    this.mayNeedUnread = happened.some((operation) => this.#mayHaveMetUnread(operation))
    const open = withUnread && this.mayNeedUnread
    this.operations = happened.filter(
      (operation) => open || revisionOf(operation) !== UNKNOWN || !isUnreadSet(operation),
    )
    this.#revisions = this.operations.map(revisionOf)
    const changes = happened.filter(({ reply }) => reply?.type !== 'deleted' || reply.existed)
    const ascending = changes.map((operation) => revisionOf(operation) ?? 0).sort((a, b) => a - b)
    let before = 0
    for (const revision of ascending) {
      if (revision <= before) continue
      this.#after.set(before, revision)
      before = revision
    }
  }

  /**
   * Operations of unknown outcome that nothing tells from one another, by rows: deletes, writes that nobody read, those
   * of them that need an absent key, and deletes that need a revision which nobody learned. Undefined for all others.
   */
  spareRow(number: number): SpareRow | undefined {
    const { call } = this.#at(number)
    if (this.hasHappened(number) || call.type === 'get') return undefined
    if (call.type === 'set') return call.expected === UNKNOWN ? 1 : call.expected === 0 ? 2 : undefined
    if (call.expected === UNKNOWN) return 0
    return this.#known.has(call.expected) ? undefined : 3
  }

  /** Whether the operation has a place in every order: it was answered, or its value was read. */
  hasHappened(number: number): boolean {
    return this.#at(number).outcome === 'ok' || this.#revisions[number] !== UNKNOWN
  }

  /** Equal for states that explain the same: all absent ones, and all whose write nobody read. */
  likeness({ write }: State): number {
    if (!this.#isPresent(write)) return INITIAL
    return this.#revisions[write] === UNKNOWN ? UNREAD : write
  }

  /** The state after the operation, or undefined when it can't have happened here with the reply it got. */
  step(state: State, number: number): State | undefined {
    const { call, reply } = this.#at(number)
    if (call.type === 'get') return this.#explainsRead(state.write, reply) ? state : undefined
    if (reply?.type === 'conflict') {
      return this.#explainsConflict(state.write, call.expected, reply.revision) ? state : undefined
    }
    if (call.expected !== undefined && !this.#hasRevision(state.write, call.expected)) return undefined
    const changes = call.type === 'set' || this.#isPresent(state.write)
    if (reply?.type === 'deleted' && reply.existed !== changes) return undefined
    const revision = this.#revisions[number]
    if (
      revision !== UNKNOWN &&
      !(changes ? revision === this.#after.get(state.revision) : revision >= state.revision)
    ) {
      return undefined
    }
    if (!changes) return reply === undefined ? undefined : state
    const after = { write: number, revision: revision ?? state.revision }
    // Where it changes nothing that could be told, an operation of unknown outcome need not have happened.
    return this.hasHappened(number) || this.likeness(after) !== this.likeness(state) ? after : undefined
  }

  #explainsRead(write: number, reply: Operation['reply']): boolean {
    if (reply?.type === 'absent') return !this.#isPresent(write)
    if (reply?.type !== 'present' || !this.#isPresent(write)) return false
    const { call } = this.#at(write)
    return call.type === 'set' && call.value === reply.value && this.#revisions[write] === reply.revision
  }

  #explainsConflict(write: number, expected: number | undefined, revision: number): boolean {
    return expected !== undefined && expected !== revision && this.#hasRevision(write, revision)
  }

  /** Whether the key's present revision may be this one; 0 stands for absent. */
  #hasRevision(write: number, revision: number): boolean {
    if (revision === 0 || !this.#isPresent(write)) return revision === 0 && !this.#isPresent(write)
    return this.#revisions[write] === UNKNOWN ? !this.#known.has(revision) : this.#revisions[write] === revision
  }

  #isPresent(write: number): boolean {
    return write !== INITIAL && this.#at(write).call.type === 'set'
  }

  /** Whether this operation's reply could be owed to an unknown write that nobody read; if none could, such writes explain nothing. */
  #mayHaveMetUnread({ call, reply }: Operation): boolean {
    if (reply?.type === 'conflict') return reply.revision !== 0 && !this.#known.has(reply.revision)
    if (call.type === 'get') return false
    if (reply?.type === 'deleted' && reply.existed) return true
    return call.expected !== undefined && call.expected !== 0 && !this.#known.has(call.expected)
  }

  #at(number: number): Operation {
    return required(this.operations[number], 'an operation of the register')
  }
}

function revisionsRead(operations: readonly Operation[]): ReadonlyMap<string, number> {
  const read = new Map<string, number>()
  for (const { reply } of operations) {
    if (reply?.type === 'present' && !read.has(reply.value)) read.set(reply.value, reply.revision)
  }
  return read
}

function writtenRevision({ call, reply }: Operation, read: ReadonlyMap<string, number>): number | undefined {
  if (reply?.type === 'written' || reply?.type === 'deleted') return reply.revision
  if (reply !== undefined || call.type !== 'set') return UNKNOWN
  return read.get(call.value)
}

function isUnreadSet({ call, outcome }: Operation): boolean {
  return call.type === 'set' && outcome === 'unknown'
}
