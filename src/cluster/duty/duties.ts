/** The duties of a group's leader: what it does beside its log, and what ends with its leadership. */

import { ByteReader } from '../../base/bytes.ts'
import type { Clock, Millis, Scheduler } from '../../base/time.ts'
import type { Machine } from '../../machine/machine.ts'
import { readConsumeRequest, readConsumersRequest, readExtendRequest } from '../../wire/delivery.ts'
import { OPERATION, REPLY, type Request } from '../../wire/request.ts'
import { readSubscribeRequest } from '../../wire/subscription.ts'
import type { LeaderTime } from '../leader-time.ts'
import { refusal } from '../refusal.ts'
import type { ReplyTarget, Source } from '../source.ts'
import { Deliveries } from './deliveries.ts'
import { LeaseKeeper } from './leases.ts'
import { type Carriage, OutboxCarrier } from './outbox-carrier.ts'
import { Planner } from './planner.ts'
import { Subscriptions } from './subscriptions.ts'

export interface DutyPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly time: LeaderTime
  readonly machine: Machine
  readonly carriage: Carriage
  /** Whether this replica leads and has executed everything that was decided before it did. */
  isActive(): boolean
  term(): number
  /** What was sent leaves soon. */
  touch(): void
  propose(target: ReplyTarget, id: number, command: Uint8Array): void
}

export class Duties {
  readonly #deliveries: Deliveries
  readonly #leases: LeaseKeeper
  readonly #subscriptions: Subscriptions
  readonly #planner: Planner
  readonly #carrier: OutboxCarrier

  constructor(ports: DutyPorts) {
    const { machine } = ports
    this.#deliveries = new Deliveries({ ...ports, queues: () => machine.view.queues })
    this.#leases = new LeaseKeeper({ ...ports, leases: () => machine.view.leases })
    this.#subscriptions = new Subscriptions({ ...ports, topics: () => machine.view.topics })
    this.#planner = new Planner({ ...ports, schedules: () => machine.view.schedules })
    this.#carrier = new OutboxCarrier({ ...ports, outbox: () => machine.view.outbox })
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
      case OPERATION.subscribe:
        this.#subscriptions.open(source, id, readSubscribeRequest(reader))
        break
      case OPERATION.consumers:
        source.reply(id, REPLY.status, this.#deliveries.consumers(readConsumersRequest(reader)))
        break
      default:
        source.reply(id, REPLY.refused, refusal('UNSUPPORTED', `operation ${operation} is unknown here`))
    }
  }

  /** Nobody else led when this was asked. */
  keepAlive(source: Source, id: number, leases: readonly number[]): void {
    this.#leases.keepAlive(source, id, leases)
  }

  credit(source: Source, id: number, amount: number): void {
    this.#deliveries.credit(source, id, amount | 0)
    this.#subscriptions.credit(source, id, amount)
  }

  endStream(source: Source, id: number): void {
    this.#deliveries.close(source, id)
    this.#subscriptions.close(source, id)
  }

  sourceClosed(source: Source): void {
    this.#deliveries.sourceClosed(source)
    this.#subscriptions.sourceClosed(source)
  }

  /** Consumers have something that they have not settled. */
  get isHolding(): boolean {
    return this.#deliveries.isHolding
  }

  /** Consumers get nothing more until then. */
  rest(until: Millis): void {
    this.#deliveries.rest(until)
  }

  /** Entries were applied, or this replica has come to lead. */
  advance(): void {
    this.#deliveries.advance()
    this.#leases.advance()
    this.#subscriptions.advance()
    this.#planner.advance()
    this.#carrier.advance()
  }

  /** This replica no longer leads. */
  move(): void {
    this.#deliveries.move()
    this.#leases.move()
    this.#subscriptions.move()
    this.#planner.move()
    this.#carrier.move()
  }
}
