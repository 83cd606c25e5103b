/** The duties of a group's leader: what it does beside its log, and what ends with its leadership. */

import { ByteReader } from '../base/bytes.ts'
import type { Clock, Scheduler } from '../base/time.ts'
import type { Machine } from '../machine/machine.ts'
import { readConsumeRequest, readConsumersRequest, readExtendRequest } from '../wire/delivery.ts'
import { OPERATION, REPLY, type Request } from '../wire/request.ts'
import { Deliveries } from './deliveries.ts'
import type { LeaderTime } from './leader-time.ts'
import { refusal } from './refusal.ts'
import type { ReplyTarget, Source } from './source.ts'

export interface DutyPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly time: LeaderTime
  readonly machine: Machine
  /** Whether this replica leads and has executed everything that was decided before it did. */
  isActive(): boolean
  term(): number
  /** What was sent leaves soon. */
  touch(): void
  propose(target: ReplyTarget, id: number, command: Uint8Array): void
}

export class Duties {
  readonly #deliveries: Deliveries

  constructor(ports: DutyPorts) {
    const { machine } = ports
    this.#deliveries = new Deliveries({ ...ports, queues: () => machine.view.queues })
  }

  /** Takes a request that only a leader answers. Throws `malformed` for one that is none. */
  request(source: Source, { id, operation, bytes }: Request): void {
    const reader = new ByteReader(bytes)
    switch (operation) {
      case OPERATION.consume:
        this.#deliveries.open(source, id, readConsumeRequest(reader))
        break
      case OPERATION.settle:
        this.#deliveries.settle(source, id, bytes)
        break
      case OPERATION.extend:
        this.#deliveries.extend(source, id, readExtendRequest(reader))
        break
      case OPERATION.consumers:
        source.reply(id, REPLY.status, this.#deliveries.consumers(readConsumersRequest(reader)))
        break
      default:
        source.reply(id, REPLY.refused, refusal('UNSUPPORTED', `operation ${operation} is unknown here`))
    }
  }

  credit(source: Source, id: number, amount: number): void {
    this.#deliveries.credit(source, id, amount | 0)
  }

  endStream(source: Source, id: number): void {
    this.#deliveries.close(source, id)
  }

  sourceClosed(source: Source): void {
    this.#deliveries.sourceClosed(source)
  }

  /** Entries were applied, or this replica has come to lead. */
  advance(): void {
    this.#deliveries.advance()
  }

  /** This replica no longer leads. */
  move(): void {
    this.#deliveries.move()
  }
}
