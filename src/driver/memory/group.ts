/** A memory group shares the partitions of a topic among its members, each owned by one at a time. */

import { TroupeError } from '../../base/error.ts'
import type { Clock, WallMillis } from '../../base/time.ts'
import type { CallOptions, GroupOffsets, Position, RecordBatch, SubscribeOptions } from '../contract.ts'
import { Inbox } from './inbox.ts'
import type { MemoryPartition } from './partition.ts'

/** A reader's place in one partition, until it belongs to another. */
interface Place {
  readonly partition: MemoryPartition
  readonly lost: AbortController
  readonly commit: ((offset: bigint) => void) | undefined
  next: bigint
}

export class MemoryReader implements AsyncIterator<RecordBatch, undefined> {
  pattern: string | undefined
  readonly options: SubscribeOptions
  readonly #clock: Clock
  readonly #inbox: Inbox<RecordBatch>
  readonly #places: Place[] = []

  constructor(
    options: SubscribeOptions,
    clock: Clock,
    owner: { readonly begin: () => void; readonly end: () => void },
  ) {
    this.options = options
    this.#clock = clock
    const { signal } = options
    const aborted = (): void => this.fail(signal?.reason)
    this.#inbox = new Inbox(
      () => {
        owner.begin()
        signal?.addEventListener('abort', aborted, { once: true })
      },
      () => {
        signal?.removeEventListener('abort', aborted)
        for (const { lost, partition } of this.#places.splice(0)) lost.abort(lostPartition(partition))
        owner.end()
      },
    )
  }

  get partitions(): readonly number[] {
    return this.#places.map(({ partition }) => partition.number)
  }

  next(): Promise<IteratorResult<RecordBatch, undefined>> {
    const result = this.#inbox.next()
    this.serve()
    return result
  }

  return(): Promise<IteratorResult<RecordBatch, undefined>> {
    return this.#inbox.return()
  }

  fail(error: unknown): void {
    this.#inbox.fail(error)
  }

  /** @param from undefined for where its options say */
  read(partition: MemoryPartition, from: bigint | undefined, commit?: (offset: bigint) => void): void {
    const next = from ?? partition.offsetOf(this.options.from ?? (commit === undefined ? 'latest' : 'earliest'))
    this.#places.push({ partition, next, commit, lost: new AbortController() })
  }

  lose(number: number): void {
    const at = this.#places.findIndex(({ partition }) => partition.number === number)
    const [place] = at < 0 ? [] : this.#places.splice(at, 1)
    place?.lost.abort(lostPartition(place.partition))
  }

  /** These are no more; whether it read any of them. */
  leave(partitions: readonly MemoryPartition[]): boolean {
    const before = this.#places.length
    const left = this.#places.filter(({ partition }) => !partitions.includes(partition))
    this.#places.splice(0, before, ...left)
    return left.length < before
  }

  /** Gives as many batches as are asked for, partitions in turn. */
  serve(): void {
    while (this.#inbox.isWaiting) {
      const at = this.#places.findIndex(({ partition, next }) => partition.read(next, 1).length > 0)
      const [place] = at < 0 ? [] : this.#places.splice(at, 1)
      if (place === undefined) return
      this.#places.push(place)
      this.#inbox.push(this.#batch(place))
    }
  }

  #batch(place: Place): RecordBatch {
    const { partition, lost, commit } = place
    const records = partition.read(place.next, this.options.batch)
    const next = (records.at(-1)?.offset ?? place.next - 1n) + 1n
    place.next = next
    return {
      topic: partition.topic,
      partition: partition.number,
      records,
      lag: partition.lag(next, this.#clock.wallTime()),
      lost: lost.signal,
      commit: async (options: CallOptions): Promise<void> => {
        options.signal?.throwIfAborted()
        if (commit === undefined) return
        if (lost.signal.aborted) throw new TroupeError('FENCED', `partition ${partition.number} belongs to another`)
        commit(next)
      },
    }
  }
}

export class MemoryGroup {
  readonly #name: string
  readonly #partitions: readonly MemoryPartition[]
  readonly #members: MemoryReader[] = []
  readonly #committed = new Map<number, bigint>()

  constructor(name: string, partitions: readonly MemoryPartition[]) {
    this.#name = name
    this.#partitions = partitions
  }

  get memberCount(): number {
    return this.#members.length
  }

  join(reader: MemoryReader): void {
    this.#members.push(reader)
    this.#rebalance()
  }

  leave(reader: MemoryReader): void {
    const at = this.#members.indexOf(reader)
    if (at >= 0) this.#members.splice(at, 1)
    this.#rebalance()
  }

  reset(to: Position): void {
    const offsets = this.#partitions.map((partition) => [partition.number, partition.offsetOf(to)] as const)
    for (const [partition, offset] of offsets) this.#committed.set(partition, offset)
  }

  status(now: WallMillis): GroupOffsets {
    return {
      group: this.#name,
      members: this.#members.map(({ partitions }, at) => ({ member: `${at + 1}`, partitions })),
      partitions: this.#partitions.map((partition) => {
        const committed = this.#committed.get(partition.number) ?? partition.offsetOf('earliest')
        return { partition: partition.number, committed, end: partition.end, lagMs: partition.lag(committed, now).ms }
      }),
    }
  }

  /** Moves as few partitions as can be: those above an owner's share, and those without an owner. */
  #rebalance(): void {
    const count = this.#members.length
    if (count === 0) return
    const share = (at: number): number => Math.floor((this.#partitions.length + count - 1 - at) / count)
    const ranked = [...this.#members].sort((a, b) => b.partitions.length - a.partitions.length)
    for (const [at, member] of ranked.entries()) {
      for (const number of member.partitions.slice(share(at))) member.lose(number)
    }
    const owned = new Set(this.#members.flatMap(({ partitions }) => partitions))
    const free = this.#partitions.filter(({ number }) => !owned.has(number))
    for (const [at, member] of ranked.entries()) {
      for (const partition of free.splice(0, Math.max(0, share(at) - member.partitions.length))) {
        const committed = (): bigint | undefined => this.#committed.get(partition.number)
        const commit = (offset: bigint): void => {
          if (offset > (committed() ?? -1n)) this.#committed.set(partition.number, offset)
        }
        member.read(partition, committed(), commit)
      }
    }
    for (const member of this.#members) member.serve()
  }
}

function lostPartition({ topic, number }: MemoryPartition): TroupeError {
  return new TroupeError('LEASE_LOST', `partition ${number} of '${topic}' is no longer read here`)
}
