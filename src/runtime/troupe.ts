/** Troupe is what `open` gives: one object through which an application reaches its cluster, until it closes it. */

import { invalidArgument, refuseUnknownOptions } from '../base/argument.ts'
import { ValueCodec } from '../base/codec.ts'
import { TroupeError } from '../base/error.ts'
import type { Clock, Millis } from '../base/time.ts'
import { CALL_OPTIONS, checkCall, NO_OPTIONS } from '../data/call.ts'
import type { MapDefinition, TroupeMap } from '../data/map.ts'
import type { HandleParts } from '../data/map-handle.ts'
import { MapHandle } from '../data/map-handle.ts'
import type { CallOptions, ClusterStatus, Driver, OperationOutcome } from '../driver/contract.ts'

/** What a Troupe is made of. */
export interface TroupeParts {
  readonly driver: Driver
  readonly clock: Clock
  /** Lets the node beside this application finish and hand over its leaderships; nothing to do where there is none. */
  readonly drain?: (timeout: Millis) => Promise<void>
  /** Ends what was started along with the driver, once that is closed. */
  readonly close?: () => Promise<void>
  /** Aborts with the error by which the engine ended, if it ends by itself. */
  readonly failed?: AbortSignal
}

export interface DrainOptions {
  /** Milliseconds for finishing what is under way; default 25,000, so that a supervisor's 30 s suffice. */
  readonly timeout?: Millis
}

export interface Troupe {
  /** A handle on the map of this definition; see {@link TroupeMap}. */
  map<Value, Input>(definition: MapDefinition<Value, Input>): TroupeMap<Value, Input>

  /** Members, groups and leaders, as the node that answers sees them. */
  status(options?: CallOptions): Promise<ClusterStatus>

  /**
   * What became of an operation that ended with `OUTCOME_UNKNOWN`. After `'not-committed'` it certainly never happens.
   *
   * @example
   * if (isTroupeError(error, 'OUTCOME_UNKNOWN')) await troupe.outcome(String(error.details.operationId))
   */
  outcome(operationId: string, options?: CallOptions): Promise<OperationOutcome>

  /** Aborts when this begins to drain or close (its reason is a `CLOSED` error), or when the engine fails (its error). */
  readonly signal: AbortSignal

  /**
   * Closes in order: aborts `signal`, so that loops and watches that listen to it end; gives calls under way their time;
   * hands leaderships to other nodes; closes. Never rejects for what is too slow.
   */
  drain(options?: DrainOptions): Promise<void>

  /** Closes at once: what is under way rejects with `CLOSED`, or with `OUTCOME_UNKNOWN` where it may have happened. */
  close(): Promise<void>

  [Symbol.asyncDispose](): Promise<void>
}

/** Makes the front of a driver: the composition root of everything above it. */
export function createTroupe(parts: TroupeParts): Troupe {
  return new OpenTroupe(parts)
}

const DRAIN_OPTIONS: ReadonlySet<string> = new Set(['timeout'])
const DEFAULT_DRAIN_MS: Millis = 25_000

class OpenTroupe implements Troupe {
  readonly #parts: TroupeParts
  readonly #handleParts: HandleParts
  readonly #ending = new AbortController()
  #drained: Promise<void> | undefined
  #closed: Promise<void> | undefined

  constructor(parts: TroupeParts) {
    this.#parts = parts
    this.#handleParts = {
      store: parts.driver.keyValue,
      codec: new ValueCodec(),
      clock: parts.clock,
      ending: this.signal,
    }
    const { failed } = parts
    if (failed?.aborted === true) this.#ending.abort(failed.reason)
    else failed?.addEventListener('abort', () => this.#ending.abort(failed.reason), { once: true })
  }

  get signal(): AbortSignal {
    return this.#ending.signal
  }

  map<Value, Input>(definition: MapDefinition<Value, Input>): TroupeMap<Value, Input> {
    if (definition?.kind !== 'map') throw invalidArgument('troupe.map takes a definition made by defineMap')
    return new MapHandle(definition, this.#handleParts)
  }

  async status(options: CallOptions = NO_OPTIONS): Promise<ClusterStatus> {
    checkCall('troupe.status', options, CALL_OPTIONS)
    return this.#parts.driver.status(options)
  }

  async outcome(operationId: string, options: CallOptions = NO_OPTIONS): Promise<OperationOutcome> {
    checkCall('troupe.outcome', options, CALL_OPTIONS)
    if (typeof operationId !== 'string') throw invalidArgument('operationId is the text of error.details.operationId')
    return this.#parts.driver.outcome(operationId, options)
  }

  async drain(options: DrainOptions = NO_OPTIONS): Promise<void> {
    refuseUnknownOptions('troupe.drain', options, DRAIN_OPTIONS)
    const { timeout = DEFAULT_DRAIN_MS } = options
    if (!(typeof timeout === 'number' && timeout >= 0)) throw invalidArgument('timeout is a number of milliseconds')
    this.#end()
    this.#drained ??= this.#closed ?? Promise.resolve().then(() => this.#parts.drain?.(timeout))
    // A node that cannot hand over is closed all the same: the others elect a leader without it.
    await this.#drained.catch(() => undefined)
    await this.close()
  }

  close(): Promise<void> {
    this.#end()
    this.#closed ??= this.#closeParts()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #closeParts(): Promise<void> {
    try {
      await this.#parts.driver.close()
    } finally {
      await this.#parts.close?.()
    }
  }

  #end(): void {
    if (!this.#ending.signal.aborted) this.#ending.abort(new TroupeError('CLOSED', 'this Troupe is closing'))
  }
}
