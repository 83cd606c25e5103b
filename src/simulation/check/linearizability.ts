/**
 * A history is linearizable when every operation can be given one instant between its invocation and its return, such
 * that a single register explains all replies.
 */

import { required } from '../../base/assert.ts'
import type { Operation } from './history.ts'
import { INITIAL, Register, type State } from './register.ts'
import { NO_CHOICE, Timeline } from './timeline.ts'

/** Whether a history is linearizable, and if not, where it stops being so. */
export type Verdict =
  | { readonly verdict: 'linearizable'; readonly steps: number }
  | { readonly verdict: 'not-linearizable'; readonly key: string; readonly stuck: Stuck; readonly steps: number }
  /** The bound on steps was reached first: neither shown nor refuted. */
  | { readonly verdict: 'gave-up'; readonly key: string; readonly steps: number }

/** The furthest that any order came: none of the `candidates` fits after `state`, and one of them must. */
export interface Stuck {
  readonly explained: number
  readonly state: Operation | undefined
  readonly candidates: readonly Operation[]
}

/** How far the search may go. */
export interface CheckOptions {
  /** Attempts to place an operation, for each key. Default 20,000,000, which takes some seconds. */
  readonly stepLimit?: number
}

/**
 * Checks each key for itself, which is enough because linearizability is local (Herlihy and Wing 1990, theorem 1).
 *
 * Failed operations are left out; unknown ones may be placed anywhere after their invocation, or nowhere.
 */
export function checkLinearizable(operations: readonly Operation[], options: CheckOptions = {}): Verdict {
  let steps = 0
  for (const [key, ofKey] of partition(operations)) {
    const verdict = checkKey(key, ofKey, options.stepLimit ?? 20_000_000)
    steps += verdict.steps
    if (verdict.verdict !== 'linearizable') return { ...verdict, steps }
  }
  return { verdict: 'linearizable', steps }
}

function partition(operations: readonly Operation[]): Map<string, Operation[]> {
  const keys = new Map<string, Operation[]>()
  for (const operation of operations) {
    const ofKey = keys.get(operation.key)
    if (ofKey === undefined) keys.set(operation.key, [operation])
    else ofKey.push(operation)
  }
  return keys
}

/** Unknown writes that nobody read multiply the orders and hardly ever matter: they come in only where it fails without them. */
function checkKey(key: string, ofKey: readonly Operation[], stepLimit: number): Verdict {
  const plain = new Register(ofKey, false)
  const verdict = search(key, plain, stepLimit)
  if (verdict.verdict === 'linearizable' || !plain.mayNeedUnread) return verdict
  return search(key, new Register(ofKey, true), stepLimit)
}

/**
 * Depth-first search for an order (Wing and Gong 1993) that forgets no dead end: a pair of placed operations and
 * resulting state is tried once (Lowe 2017, "Testing for linearizability").
 *
 * At each place of the order the choices are the calls before the first return, then the first unused of each row of
 * spares. Spares of one row can stand in for each other, so that none but the first need be tried, and an order that
 * has used more of them than another is no better.
 */
function search(key: string, register: Register, stepLimit: number): Verdict {
  const timeline = new Timeline(register)
  const reached = new ReachedSet(register.operations.length)
  const path: { readonly choice: number; readonly operation: number; readonly before: State }[] = []
  let state: State = { write: INITIAL, revision: 0 }
  let steps = 0
  let stuck: Stuck = { explained: -1, state: undefined, candidates: [] }
  let choice = timeline.firstChoice()
  const undo = (operation: number): void => {
    if (register.hasHappened(operation)) reached.remove(operation)
    timeline.unlift(operation)
  }
  while (timeline.unreturned > 0) {
    if (choice === NO_CHOICE) {
      if (path.length > stuck.explained) stuck = describe(register, timeline, { explained: path.length, state })
      const last = path.pop()
      if (last === undefined) return { verdict: 'not-linearizable', key, stuck, steps }
      undo(last.operation)
      // What changed nothing could stand nowhere better: without it the search fails as well.
      choice = state === last.before ? NO_CHOICE : timeline.choiceAfter(last.choice)
      state = last.before
      continue
    }
    if (++steps > stepLimit) return { verdict: 'gave-up', key, steps }
    const operation = timeline.operationAt(choice)
    const after = register.step(state, operation)
    if (after === undefined) {
      choice = timeline.choiceAfter(choice)
      continue
    }
    timeline.lift(operation)
    // Any other operation than these is a spare, or has met the only revision that it fits: it cannot be placed again.
    if (register.hasHappened(operation)) reached.place(operation)
    if (reached.isNew(register.likeness(after), timeline.used)) {
      path.push({ choice, operation, before: state })
      state = after
      choice = timeline.firstChoice()
    } else {
      undo(operation)
      choice = timeline.choiceAfter(choice)
    }
  }
  return { verdict: 'linearizable', steps }
}

function describe(register: Register, timeline: Timeline, at: { explained: number; state: State }): Stuck {
  const candidates: Operation[] = []
  for (let choice = timeline.firstChoice(); choice !== NO_CHOICE; choice = timeline.choiceAfter(choice)) {
    candidates.push(required(register.operations[timeline.operationAt(choice)], 'a candidate'))
  }
  return { explained: at.explained, state: register.operations[at.state.write], candidates }
}

/** Placed operations and the state after them, with the least of spares that it took. */
interface Reached {
  readonly bits: Uint32Array
  readonly state: number
  /** None of them is at least another one in each row. */
  used: readonly (readonly number[])[]
}

/** The operations placed so far as bits, and all that was ever reached. */
class ReachedSet {
  readonly #bits: Uint32Array
  /** Sum of the placed operations' marks: equal sets have equal sums, whatever the order. */
  #sum = 0
  readonly #seen = new Map<number, Reached[]>()

  constructor(size: number) {
    this.#bits = new Uint32Array((size + 31) >> 5)
  }

  place(operation: number): void {
    this.#flip(operation, 1)
  }

  remove(operation: number): void {
    this.#flip(operation, -1)
  }

  /** Whether this state was not reached yet with what is placed, or not with so few spares; notes that it is now. */
  isNew(state: number, used: readonly number[]): boolean {
    const hash = (this.#sum ^ Math.imul(state + 3, 0x9e3779b1)) >>> 0
    const bucket = this.#seen.get(hash)
    const known = bucket?.find((reached) => reached.state === state && this.#equals(reached.bits))
    if (known === undefined) {
      const reached = { bits: this.#bits.slice(), state, used: [[...used]] }
      if (bucket === undefined) this.#seen.set(hash, [reached])
      else bucket.push(reached)
      return true
    }
    if (known.used.some((less) => isAtMost(less, used))) return false
    known.used = [...known.used.filter((more) => !isAtMost(used, more)), [...used]]
    return true
  }

  #flip(operation: number, sign: number): void {
    const word = operation >> 5
    this.#bits[word] = (this.#bits[word] ?? 0) ^ (1 << (operation & 31))
    const mark = Math.imul(operation + 1, 0x85ebca6b)
    this.#sum = (this.#sum + sign * Math.imul(mark ^ (mark >>> 13), 0xc2b2ae35)) | 0
  }

  #equals(bits: Uint32Array): boolean {
    for (let word = 0; word < bits.length; word++) if (bits[word] !== this.#bits[word]) return false
    return true
  }
}

function isAtMost(less: readonly number[], more: readonly number[]): boolean {
  return less.every((count, row) => count <= (more[row] ?? 0))
}
