/** A group reads a topic together: each partition belongs to one of its members at a time. */

import { assert, required } from '../../base/assert.ts'
import { type ByteReader, ByteWriter, malformed } from '../../base/bytes.ts'
import { encodeGroupState, type GroupState, PARTITIONS_LIMIT } from './command.ts'

/** Who has a partition, and how far it has been read. */
interface Share {
  /** The lease that may read; 0 for nobody. */
  owner: number
  /** The lease that it was taken from, until that has yielded; 0 for nobody. */
  yielding: number
  /** The generation in which the present owner got it, or in which it was taken. */
  changed: number
  /** The generation in which the one who may commit got it. */
  since: number
  /** One more than the offset; 0 for none. */
  committed: number
}

/**
 * Sticky and cooperative: whoever has no more than their part keeps all of it; what is too much is only taken in one
 * generation and given in a later one, so that two members never read the same partition.
 *
 * Invariant: a share has an owner or someone who is to yield it, or neither; both are members.
 */
export class Group {
  readonly key: string
  generation = 0
  /** In the order of their coming. */
  readonly #members: Set<number> = new Set()
  readonly #shares: Share[] = []

  constructor(key: string) {
    this.key = key
  }

  get size(): number {
    return this.#members.size
  }

  /** Whether there is nothing about it to remember. */
  get isBlank(): boolean {
    return this.#members.size === 0 && this.#shares.every(({ committed }) => committed === 0)
  }

  get state(): GroupState {
    const partitions = this.#shares.map(({ owner, yielding, committed }) => {
      return { owner, yielding, committed: committed === 0 ? undefined : committed - 1 }
    })
    return { generation: this.generation, members: [...this.#members], partitions }
  }

  has(lease: number): boolean {
    return this.#members.has(lease)
  }

  /** Whether `join` would change anything. */
  wants(lease: number, partitions: number): boolean {
    return !this.#members.has(lease) || partitions > this.#shares.length
  }

  join(lease: number, partitions: number, generation: number): void {
    this.#members.add(lease)
    this.#widen(partitions)
    this.#rebalance(generation)
  }

  leave(lease: number, generation: number): void {
    this.#members.delete(lease)
    for (const share of this.#shares) {
      if (share.owner !== lease && share.yielding !== lease) continue
      share.owner = 0
      share.yielding = 0
    }
    this.#rebalance(generation)
  }

  /** Whether `lease` has something to yield that was taken from it up to a generation. */
  canYield(lease: number, upTo: number): boolean {
    return this.#shares.some((share) => share.yielding === lease && share.changed <= upTo)
  }

  yield(lease: number, upTo: number, generation: number): void {
    for (const share of this.#shares) if (share.yielding === lease && share.changed <= upTo) share.yielding = 0
    this.#rebalance(generation)
  }

  /** Whether `lease` may commit what it received in a generation. */
  mayCommit(lease: number, partition: number, received: number): boolean {
    const share = this.#shares[partition]
    return share !== undefined && (share.owner || share.yielding) === lease && share.since <= received
  }

  /** @param mayGoBack otherwise what was committed further stays: of two commits on their way either may come first */
  commit(partition: number, offset: number, mayGoBack: boolean): void {
    this.#widen(partition + 1)
    const share = required(this.#shares[partition], 'a partition')
    if (mayGoBack || offset >= share.committed) share.committed = offset + 1
  }

  /** `[generation u53, members u32, lease u53 …, partitions u32, (owner u53, yielding u53, changed u53, since u53, committed u53) …]` */
  encode(writer: ByteWriter): void {
    writer.u53(this.generation)
    writer.u32(this.#members.size)
    for (const lease of this.#members) writer.u53(lease)
    writer.u32(this.#shares.length)
    for (const { owner, yielding, changed, since, committed } of this.#shares) {
      for (const number of [owner, yielding, changed, since, committed]) writer.u53(number)
    }
  }

  load(reader: ByteReader): void {
    this.generation = reader.u53()
    for (let left = reader.u32(); left > 0; left--) this.#members.add(reader.u53())
    const partitions = reader.u32()
    if (partitions > PARTITIONS_LIMIT) throw malformed('a group has too many partitions')
    while (this.#shares.length < partitions) {
      const [owner, yielding] = [reader.u53(), reader.u53()]
      if (![owner, yielding].every((lease) => lease === 0 || this.has(lease))) throw malformed('no such member')
      this.#shares.push({ owner, yielding, changed: reader.u53(), since: reader.u53(), committed: reader.u53() })
    }
  }

  get announcement(): Uint8Array {
    const writer = new ByteWriter()
    encodeGroupState(writer, this.state)
    return writer.take()
  }

  #widen(partitions: number): void {
    while (this.#shares.length < partitions) {
      this.#shares.push({ owner: 0, yielding: 0, changed: 0, since: 0, committed: 0 })
    }
  }

  #rebalance(generation: number): void {
    assert(generation > this.generation, 'generations grow')
    this.generation = generation
    const owned = this.#countOwned()
    const parts = this.#partsOf(owned)
    const take = (lease: number, more: number) => owned.set(lease, (owned.get(lease) ?? 0) + more)
    const lacks = (lease: number) => (owned.get(lease) ?? 0) < (parts.get(lease) ?? 0)
    for (const share of this.#shares) {
      if (share.yielding === 0 || !lacks(share.yielding)) continue
      share.owner = share.yielding
      share.yielding = 0
      share.changed = generation
      take(share.owner, 1)
    }
    for (const share of [...this.#shares].reverse()) {
      if (share.owner === 0 || (owned.get(share.owner) ?? 0) <= (parts.get(share.owner) ?? 0)) continue
      take(share.owner, -1)
      share.yielding = share.owner
      share.owner = 0
      share.changed = generation
    }
    const wanting = [...this.#members].filter(lacks)
    for (const share of this.#shares) {
      if (share.owner !== 0 || share.yielding !== 0) continue
      while (wanting[0] !== undefined && !lacks(wanting[0])) wanting.shift()
      const owner = wanting[0]
      if (owner === undefined) return
      take(owner, 1)
      share.owner = owner
      share.changed = generation
      share.since = generation
    }
  }

  #countOwned(): Map<number, number> {
    const owned = new Map<number, number>()
    for (const lease of this.#members) owned.set(lease, 0)
    for (const { owner } of this.#shares) if (owner !== 0) owned.set(owner, (owned.get(owner) ?? 0) + 1)
    return owned
  }

  /** How many partitions each is to have: parts differ by one at most, and those who have most get the greater. */
  #partsOf(owned: ReadonlyMap<number, number>): Map<number, number> {
    const least = Math.floor(this.#shares.length / Math.max(1, this.#members.size))
    const greater = this.#shares.length - least * this.#members.size
    const byOwned = [...this.#members].sort((a, b) => (owned.get(b) ?? 0) - (owned.get(a) ?? 0))
    return new Map(byOwned.map((lease, rank) => [lease, rank < greater ? least + 1 : least]))
  }
}
