/** The register workload: clients that read, write, delete and compare-and-set a few keys through the driver, and note what they saw. */

import { required } from '../../base/assert.ts'
import { isTroupeError } from '../../base/error.ts'
import type { SeededRandom } from '../../base/random.ts'
import type { Millis } from '../../base/time.ts'
import type { Driver, StoredValue } from '../../driver/contract.ts'
import {
  complete,
  fail,
  giveUp,
  type History,
  type Nanos,
  type Operation,
  type RegisterCall,
  type RegisterReply,
} from '../check/history.ts'
import type { Coverage } from '../coverage.ts'
import type { Computer } from '../world/computer.ts'

const MAP = 'register'
const TEXT = new TextEncoder()
const UTF8 = new TextDecoder()

export interface WorkloadShape {
  readonly keys: number
  /** Mean pause between the end of an operation and the next one in its place. */
  readonly pauseMs: Millis
  readonly timeoutMs: Millis
  /** Most bytes that pad a value. */
  readonly paddingBytes: number
}

export interface WorkloadPorts {
  readonly computer: Computer
  readonly driver: Driver
  readonly random: SeededRandom
  readonly history: History
  readonly coverage: Coverage
  /** True time, which no client sees. */
  trueNow(): Millis
}

export interface ClientRole {
  /** The number that it begins with, and what is added to it for the next one. */
  readonly first: number
  readonly step: number
  /** A client that never waits for a write notices best when a leader that was deposed still answers. */
  readonly readsOnly: boolean
}

/** One thread of a client: an operation at a time, for as long as it is not told to stop. */
export class Client {
  /** How many operations wait for their end; 0 or 1. */
  pending = 0
  isStopped = false
  readonly #ports: WorkloadPorts
  readonly #shape: WorkloadShape
  readonly #revisions = new Map<string, number>()
  /** Clients of a history do one thing at a time: after an unknown outcome this one goes on under a new number. */
  #number: number
  readonly #step: number
  readonly #readsOnly: boolean
  #writes = 0

  constructor(shape: WorkloadShape, role: ClientRole, ports: WorkloadPorts) {
    this.#shape = shape
    this.#ports = ports
    this.#number = role.first
    this.#step = role.step
    this.#readsOnly = role.readsOnly
  }

  start(): void {
    const { computer, random } = this.#ports
    const pause = -this.#shape.pauseMs * Math.log(1 - random.next())
    computer.at(computer.now() + pause, () => {
      if (!this.isStopped) void this.#operate().then(() => this.start())
    })
  }

  /** Reads a key, which must succeed; resolves to whether it did. */
  async read(key: string): Promise<boolean> {
    return (await this.#perform(key, { type: 'get' })).outcome === 'ok'
  }

  async #operate(): Promise<void> {
    const { random, coverage } = this.#ports
    const key = `key-${random.below(this.#shape.keys)}`
    const operation = await this.#perform(key, this.#draw(key))
    if (operation.outcome === 'unknown') {
      coverage.reached('outcome-unknown')
      this.#number += this.#step
    }
    if (operation.reply?.type === 'conflict') coverage.reached('conflict')
    if (operation.reason === 'NO_QUORUM') coverage.reached('no-quorum-refused')
  }

  #draw(key: string): RegisterCall {
    const { random } = this.#ports
    const kind = random.below(20)
    // The revision this client saw last, which is often outdated by now.
    const expected = random.next() < 0.5 ? (this.#revisions.get(key) ?? 0) : undefined
    if (kind < 9 || this.#readsOnly) return { type: 'get' }
    if (kind < 18) return { type: 'set', value: this.#value(), expected }
    return { type: 'delete', expected }
  }

  #value(): string {
    const { random } = this.#ports
    return `${this.#number}:${++this.#writes}:${'x'.repeat(random.below(this.#shape.paddingBytes + 1))}`
  }

  async #perform(key: string, call: RegisterCall): Promise<Operation> {
    const { history } = this.#ports
    const operation = history.invoke(this.#number, key, call, this.#nanos())
    this.pending++
    try {
      const reply = await this.#send(key, call)
      complete(operation, reply, this.#nanos())
    } catch (error) {
      await this.#noteFailure(operation, error)
    }
    this.pending--
    this.#remember(key, operation.reply)
    return operation
  }

  async #send(key: string, call: RegisterCall): Promise<RegisterReply> {
    const { keyValue } = this.#ports.driver
    const options = { timeout: this.#shape.timeoutMs }
    if (call.type === 'get') return readReply(await keyValue.get(MAP, key, options))
    const condition = call.expected === undefined ? options : { ...options, ifRevision: BigInt(call.expected) }
    if (call.type === 'delete') {
      const { revision, existed } = await keyValue.delete(MAP, key, condition)
      return { type: 'deleted', revision: Number(revision), existed }
    }
    const { revision } = await keyValue.set(MAP, key, TEXT.encode(call.value), condition)
    return { type: 'written', revision: Number(revision) }
  }

  async #noteFailure(operation: Operation, error: unknown): Promise<void> {
    if (!isTroupeError(error)) throw error
    if (error.code === 'CONFLICT') {
      complete(operation, { type: 'conflict', revision: Number(error.details.revision) }, this.#nanos())
    } else if (error.outcome === 'failed') {
      fail(operation, error.code, this.#nanos())
    } else {
      giveUp(operation, error.code)
      await this.#askOutcome(operation, String(error.details.operationId))
    }
  }

  /** Sometimes the client insists. What it is told binds the checker: not committed means never. */
  async #askOutcome(operation: Operation, operationId: string): Promise<void> {
    const { driver, random, coverage } = this.#ports
    if (operation.call.type === 'get' || random.next() < 0.5) return
    try {
      const outcome = await driver.outcome(operationId, { timeout: this.#shape.timeoutMs })
      if (outcome !== 'unknown') coverage.reached('outcome-learned')
      if (outcome === 'not-committed') fail(operation, 'not-committed', this.#nanos())
    } catch (error) {
      if (!isTroupeError(error)) throw error
    }
  }

  #remember(key: string, reply: RegisterReply | undefined): void {
    if (reply === undefined) return
    const isGone = reply.type === 'absent' || reply.type === 'deleted'
    this.#revisions.set(key, isGone ? 0 : reply.revision)
  }

  #nanos(): Nanos {
    return Math.round(this.#ports.trueNow() * 1e6)
  }
}

export function keysOf(shape: WorkloadShape): string[] {
  return Array.from({ length: shape.keys }, (_, at) => `key-${at}`)
}

function readReply(read: StoredValue | { readonly value: undefined }): RegisterReply {
  if (read.value === undefined) return { type: 'absent' }
  return { type: 'present', value: UTF8.decode(read.value), revision: Number(required(read.revision, 'a revision')) }
}
