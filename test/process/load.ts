/** A load is what several clients do to a cluster while something happens to it, and the history of what they were told. */

import { setTimeout as sleep } from 'node:timers/promises'
import { isTroupeError } from '../../src/base/error.ts'
import type { TroupeMap } from '../../src/data/map.ts'
import { defineMap } from '../../src/data/map.ts'
import type { Troupe } from '../../src/runtime/troupe.ts'
import {
  complete,
  fail,
  giveUp,
  History,
  type Operation,
  type RegisterCall,
  type RegisterReply,
} from '../../src/simulation/check/history.ts'
import type { Verdict } from '../../src/simulation/check/linearizability.ts'
import { checkLinearizable } from '../../src/simulation/check/linearizability.ts'

const registers = defineMap<string>('registers')
const ledger = defineMap<number>('ledger')

/** Keys that are in use at a time, and for how long: a key with too long a history is expensive to check. */
const KEYS = 6
const KEY_LIFE_MS = 1_000
const PAUSE_MS = 3

export interface LoadResult {
  readonly verdict: Verdict
  readonly operations: number
  readonly unknown: number
  /** Calls that certainly did not happen, conflicts left out, by code. */
  readonly failed: readonly string[]
  readonly acknowledgedWrites: number
  /** Acknowledged writes of the ledger that could not be read back. */
  readonly lost: readonly string[]
  readonly history: History
}

/**
 * Two kinds of workers: some read, write, delete and compare-and-set a few shared registers, others write each key of a
 * ledger once. The registers' history is checked for linearizability, the ledger is read back at the end.
 */
export class Load {
  readonly #history = new History()
  readonly #acknowledged: string[] = []
  readonly #failed: string[] = []
  readonly #startedAt: number = performance.now()
  readonly #workers: Promise<void>[] = []
  #clients = 0
  #isStopping = false

  constructor(troupe: Troupe, workers = 8) {
    for (let at = 0; at < workers; at++) {
      this.#workers.push(this.#register(troupe.map(registers)), this.#write(troupe.map(ledger), at))
    }
  }

  get acknowledgedWrites(): number {
    return this.#acknowledged.length
  }

  /** Lets the workers finish, reads everything back through `troupe`, and checks. */
  async finish(troupe: Troupe): Promise<LoadResult> {
    this.#isStopping = true
    await Promise.all(this.#workers)
    const keys = new Set(this.#history.operations.map((operation) => operation.key))
    for (const key of keys) await this.#call(troupe.map(registers), this.#clients++, key, { type: 'get' })
    const present = new Set<string>()
    for await (const { key } of troupe.map(ledger).scan()) present.add(key)
    const { operations } = this.#history
    return {
      verdict: checkLinearizable(operations, { stepLimit: 20_000_000 }),
      operations: operations.length,
      unknown: operations.filter((operation) => operation.outcome === 'unknown').length,
      failed: this.#failed,
      acknowledgedWrites: this.#acknowledged.length,
      lost: this.#acknowledged.filter((key) => !present.has(key)),
      history: this.#history,
    }
  }

  async #write(map: TroupeMap<number>, worker: number): Promise<void> {
    for (let at = 0; !this.#isStopping; at++) {
      const key = `${worker}-${at}`
      try {
        await map.set(key, at)
        this.#acknowledged.push(key)
      } catch (error) {
        if (!isTroupeError(error)) throw error
        if (error.outcome === 'failed') this.#failed.push(error.code)
      }
      await sleep(PAUSE_MS)
    }
  }

  async #register(map: TroupeMap<string>): Promise<void> {
    let client = this.#clients++
    let revision = 0
    for (let at = 0; !this.#isStopping; at++) {
      const epoch = Math.floor((performance.now() - this.#startedAt) / KEY_LIFE_MS)
      const key = `${epoch}.${Math.floor(Math.random() * KEYS)}`
      const operation = await this.#call(map, client, key, nextCall(`${client}-${at}`, revision))
      // A client that does not know what became of its call is never heard of again.
      if (operation.outcome === 'unknown') client = this.#clients++
      revision = revisionOf(operation.reply)
      await sleep(PAUSE_MS)
    }
  }

  async #call(map: TroupeMap<string>, client: number, key: string, call: RegisterCall): Promise<Operation> {
    const operation = this.#history.invoke(client, key, call, nanos())
    try {
      complete(operation, await perform(map, key, call), nanos())
    } catch (error) {
      if (!isTroupeError(error)) throw error
      if (error.code === 'CONFLICT')
        complete(operation, { type: 'conflict', revision: Number(error.details.revision) }, nanos())
      else if (error.outcome === 'unknown') giveUp(operation, error.code)
      else {
        fail(operation, error.code, nanos())
        this.#failed.push(error.code)
      }
    }
    return operation
  }
}

function nanos(): number {
  return Math.round(performance.now() * 1e6)
}

function nextCall(value: string, revision: number): RegisterCall {
  const draw = Math.random()
  if (draw < 0.4) return { type: 'get' }
  if (draw < 0.7) return { type: 'set', value, expected: undefined }
  if (draw < 0.95) return { type: 'set', value, expected: revision }
  return { type: 'delete', expected: draw < 0.97 ? revision : undefined }
}

function revisionOf(reply: RegisterReply | undefined): number {
  return reply === undefined || reply.type === 'absent' || reply.type === 'deleted' ? 0 : reply.revision
}

async function perform(map: TroupeMap<string>, key: string, call: RegisterCall): Promise<RegisterReply> {
  if (call.type === 'get') {
    const found = await map.get(key)
    return found === undefined
      ? { type: 'absent' }
      : { type: 'present', value: found.value, revision: Number(found.revision) }
  }
  const condition = call.expected === undefined ? {} : { ifRevision: BigInt(call.expected) }
  if (call.type === 'set')
    return { type: 'written', revision: Number((await map.set(key, call.value, condition)).revision) }
  const { existed, revision } = await map.delete(key, condition)
  return { type: 'deleted', revision: Number(revision), existed }
}
