/** A ledger holds what has ever been true of one group, so that no replica can contradict it later. */

import type { GroupId, NodeId } from '../../base/identity.ts'
import type { Millis } from '../../base/time.ts'
import type { LogIndex, LogPosition, Term } from '../../protocol/core.ts'
import type { Coverage } from '../coverage.ts'

/** The simulation found the cluster breaking a promise. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

/** What went wrong, for people: a violation speaks for itself, any other error shows where it was thrown. */
export function describeFailure(failure: unknown): string | undefined {
  if (failure === undefined || failure instanceof Violation) return failure?.message
  if (failure instanceof Error) return failure.stack ?? failure.message
  return typeof failure === 'string' ? failure : JSON.stringify(failure)
}

/** A replica has become the leader of its group. */
export interface Election {
  readonly group: GroupId
  readonly at: Millis
}

interface Decision {
  readonly chain: number
  /** The term of the replica that was first seen to know it. */
  readonly term: Term
}

/** What a ledger asks about a replica. */
export interface LedgerReplica {
  readonly node: NodeId
  readonly term: Term
  readonly last: LogPosition
  /** See `LogDevice.chainAt`. */
  chainAt(index: LogIndex): number | undefined
}

export class Ledger {
  readonly group: GroupId
  readonly #coverage: Coverage
  readonly #leaders = new Map<Term, NodeId>()
  readonly #votes = new Map<string, NodeId>()
  /** By index; none at 0. */
  readonly #decisions: (Decision | undefined)[] = [undefined]
  /** The chain of every log that ever ended at a position. */
  readonly #ends = new Map<string, number>()
  readonly #digests = new Map<LogIndex, number>()
  #latestLeader: NodeId | undefined

  constructor(group: GroupId, coverage: Coverage) {
    this.group = group
    this.#coverage = coverage
  }

  /** The highest index that any replica ever knew to be committed. */
  get decided(): LogIndex {
    return this.#decisions.length - 1
  }

  /** Election safety and leader completeness. */
  leads(replica: LedgerReplica): void {
    const { node, term, last } = replica
    const other = this.#leaders.get(term)
    if (other !== undefined && other !== node) this.#violated(`${other} and ${node} both lead term ${term}`)
    this.#leaders.set(term, node)
    this.#coverage.reached(this.#latestLeader === undefined ? 'leader-elected' : 'leader-replaced')
    this.#latestLeader = node
    if (last.index > this.decided + 1 && last.term > 0) this.#coverage.reached('leader-with-uncommitted-tail')
    let index = this.decided
    while (index > 0 && (this.#decisions[index]?.term ?? 0) >= term) index--
    if (last.index < index) this.#violated(`${node} leads term ${term} without the committed entry ${index}`)
    this.#holds(replica, index)
  }

  /** A node may vote once in a term, however often it restarts. */
  voted(voter: NodeId, term: Term, candidate: NodeId): void {
    const key = `${term} ${voter}`
    const other = this.#votes.get(key)
    if (other !== undefined && other !== candidate) {
      this.#violated(`${voter} voted for both ${other} and ${candidate} in term ${term}`)
    }
    this.#votes.set(key, candidate)
  }

  /** Two logs that end at one position are equal (log matching). */
  ends(replica: LedgerReplica): void {
    const { node, last } = replica
    const chain = replica.chainAt(last.index)
    if (chain === undefined) return
    const key = `${last.term} ${last.index}`
    const other = this.#ends.get(key)
    if (other !== undefined && other !== chain) {
      this.#violated(`the log of ${node} differs from another that ends at ${last.index} of term ${last.term}`)
    }
    this.#ends.set(key, chain)
  }

  /** What was committed once stays, at every replica that commits it. Returns whether this was news. */
  commits(replica: LedgerReplica, from: LogIndex, until: LogIndex): boolean {
    if (replica.last.index < until) this.#violated(`${replica.node} committed ${until}, beyond its log`)
    this.#holds(replica, Math.min(until, this.decided))
    const isNews = until > this.decided
    for (let index = Math.max(from, this.decided) + 1; index <= until; index++) {
      const chain = replica.chainAt(index)
      this.#decisions[index] = chain === undefined ? undefined : { chain, term: replica.term }
    }
    return isNews
  }

  /** Equal states at equal positions. */
  digests(node: NodeId, index: LogIndex, digest: number): void {
    const other = this.#digests.get(index)
    if (other !== undefined && other !== digest)
      this.#violated(`the state of ${node} at ${index} differs from another's`)
    this.#digests.set(index, digest)
  }

  /** Whether the replica's log holds the committed entry at this index. */
  has(replica: Pick<LedgerReplica, 'chainAt'>, index: LogIndex): boolean {
    const decision = this.#decisions[index]
    const chain = replica.chainAt(index)
    return decision === undefined || chain === undefined || chain === decision.chain
  }

  #holds(replica: LedgerReplica, index: LogIndex): void {
    if (!this.has(replica, index)) this.#violated(`${replica.node} has another entry ${index} than the committed one`)
  }

  #violated(what: string): never {
    throw new Violation(`group ${this.group}: ${what}`)
  }
}
