/** A settlement is what ends deliveries, on its way through the log. */

import { REPLY } from '../../wire/request.ts'
import type { ReplyTarget, Source } from '../source.ts'

/** Which command it is, so that a copy of it is known as one. */
export interface SettlementName {
  readonly session: number
  readonly sequence: number
}

/** A lapse is the leader's own: it has no source. The type of leases is handed in, for a lease knows its settlement. */
export class Settlement<Lease> implements ReplyTarget {
  readonly leases: readonly Lease[]
  readonly session: number
  readonly sequence: number
  readonly #source: Source | undefined
  readonly #settled: (settlement: Settlement<Lease>, status: number, machineStatus: number) => void

  constructor(
    leases: readonly Lease[],
    name: SettlementName,
    source: Source | undefined,
    settled: (settlement: Settlement<Lease>, status: number, machineStatus: number) => void,
  ) {
    this.leases = leases
    this.session = name.session
    this.sequence = name.sequence
    this.#source = source
    this.#settled = settled
  }

  get isLapse(): boolean {
    return this.#source === undefined
  }

  reply(id: number, status: number, bytes: Uint8Array): void {
    this.#source?.reply(id, status, bytes)
    this.#settled(this, status, status === REPLY.answered ? (bytes[0] ?? 0) : 0)
  }
}
