/** A history is linearizable when every operation can be given one instant between its invocation and its return, such that a single register explains all replies. */

import { required } from '../base/assert.ts'
import type { Operation } from './history.ts'
import { INITIAL, Register, type State } from './register.ts'
import { NO_CHOICE, Timeline } from './timeline.ts'

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
 * Depth-first search for an order (Wing and Gong 1993) that forgets no dead end: a pair of placed operations and resulting
 * state is tried once (Lowe 2017, "Testing for linearizability").
 *
 * At each place of the order the choices are the calls before the first return, then the first unused of each row of
 * spares. Spares of one row can stand in for each other, so that none but the first need be tried.
 */
function search(key: string, register: Register, stepLimit: number): Verdict {
  const timeline = new Timeline(register)
  const placed = new PlacedSet(register.operations.length)
  const path: { readonly choice: number; readonly operation: number; readonly before: State }[] = []
  let state: State = { write: INITIAL, revision: 0 }
  let steps = 0
  let stuck: Stuck = { explained: -1, state: undefined, candidates: [] }
  let choice = timeline.firstChoice()
  while (timeline.unreturned > 0) {
    if (choice === NO_CHOICE) {
      if (path.length > stuck.explained) stuck = describe(register, timeline, { explained: path.length, state })
      const last = path.pop()
      if (last === undefined) return { verdict: 'not-linearizable', key, stuck, steps }
      placed.remove(last.operation)
      timeline.unlift(last.operation)
      // What changed nothing could stand nowhere better: without it the search fails as well.
      choice = state === last.before ? NO_CHOICE : timeline.choiceAfter(last.choice)
      state = last.before
      continue
    }
    if (++steps > stepLimit) return { verdict: 'gave-up', key, steps }
    const operation = timeline.operationAt(choice)
    const after = register.step(state, operation)
    if (after === undefined || !placed.add(operation, after.write)) {
      choice = timeline.choiceAfter(choice)
      continue
    }
    path.push({ choice, operation, before: state })
    state = after
    timeline.lift(operation)
    choice = timeline.firstChoice()
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

/** The operations placed so far as bits, and every (bits, state) pair that was ever reached. */
class PlacedSet {
  readonly #bits: Uint32Array
  /** Sum of the placed operations' marks: equal sets have equal sums, whatever the order. */
  #sum = 0
  readonly #seen = new Map<number, { readonly bits: Uint32Array; readonly state: number }[]>()

  constructor(size: number) {
    this.#bits = new Uint32Array((size + 31) >> 5)
  }

  /** Adds an operation and returns true, or changes nothing when that set with that last write was reached before. */
  add(operation: number, state: number): boolean {
    this.#flip(operation, 1)
    const hash = (this.#sum ^ Math.imul(state + 2, 0x9e3779b1)) >>> 0
    const bucket = this.#seen.get(hash)
    if (bucket?.some((seen) => seen.state === state && this.#equals(seen.bits))) {
      this.remove(operation)
      return false
    }
    const reached = { bits: this.#bits.slice(), state }
    if (bucket === undefined) this.#seen.set(hash, [reached])
    else bucket.push(reached)
    return true
  }

  remove(operation: number): void {
    this.#flip(operation, -1)
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
