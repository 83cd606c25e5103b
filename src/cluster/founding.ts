/** Founding is how nodes that know each other's addresses agree, once and for ever, on who the first members are. */

import type { Member, Introduction as Whole } from '../wire/introduction.ts'

/** The part of an introduction that founding is about. */
export type Introduction = Omit<Whole, 'levels'>

/** What must be on disk before anybody hears of it. */
export interface Membership {
  /** Sorted by node; empty while nothing has been agreed. */
  readonly founders: readonly Member[]
  readonly founded: boolean
}

const NOTHING_AGREED: Membership = { founders: [], founded: false }

/** What follows from an introduction. */
export type Verdict =
  /** Nothing new follows from this introduction. */
  | { readonly type: 'wait' }
  /** The membership changed: store it, then introduce this node anew to everybody. */
  | { readonly type: 'agreed'; readonly membership: Membership }
  /** This peer cannot be part of the same cluster; the reason is for people. */
  | { readonly type: 'stranger'; readonly reason: string }

/**
 * A node agrees to a list of founders only once: when it has met as many new nodes as it expects. It takes part in the
 * cluster only when every founder has agreed to the same list, which one that has seen it may attest. A node is known
 * by its name and its data directory, so one that comes back with an empty directory is a stranger and never votes as
 * who it was. One that has only forgotten what it agreed to founds nothing again: somebody has to attest it.
 *
 * Invariant: two founded nodes that share a founder have equal lists.
 */
export class Founding {
  readonly #self: Member
  readonly #expected: number
  readonly #shards: number
  readonly #met = new Map<string, Introduction>()
  readonly #isForgetful: boolean
  #membership: Membership

  constructor(
    self: Member,
    expected: { readonly nodes: number; readonly shards: number },
    stored: Membership | 'forgotten',
  ) {
    this.#self = self
    this.#expected = expected.nodes
    this.#shards = expected.shards
    this.#isForgetful = stored === 'forgotten'
    this.#membership = stored === 'forgotten' ? NOTHING_AGREED : stored
  }

  get membership(): Membership {
    return this.#membership
  }

  get introduction(): Introduction {
    const { founders, founded } = this.#membership
    return { self: this.#self, founders, founded, expected: this.#expected, shards: this.#shards }
  }

  /** A node that expects nobody else founds its cluster alone. */
  begin(): Verdict {
    return this.#decide()
  }

  meet(introduction: Introduction): Verdict {
    const reason = this.#strangeness(introduction)
    if (reason !== undefined) return { type: 'stranger', reason }
    this.#met.set(introduction.self.node, introduction)
    return this.#decide()
  }

  leave(node: string): void {
    this.#met.delete(node)
  }

  #decide(): Verdict {
    const { founders, founded } = this.#membership
    if (founded) return { type: 'wait' }
    if (founders.length === 0) {
      const attested = [...this.#met.values()].find((other) => other.founded)
      if (attested !== undefined) return this.#agreeTo(attested.founders, true)
      if (this.#isForgetful || this.#met.size + 1 < this.#expected) return { type: 'wait' }
      const members = [this.#self, ...[...this.#met.values()].map(({ self }) => self)].sort(byNode)
      return this.#agreeTo(members, this.#expected === 1)
    }
    return this.#haveAllAgreed(founders) ? this.#agreeTo(founders, true) : { type: 'wait' }
  }

  #agreeTo(founders: readonly Member[], founded: boolean): Verdict {
    this.#membership = { founders, founded }
    return { type: 'agreed', membership: this.#membership }
  }

  /** Whoever has seen all of them agree can say so to one that missed it, when some are no longer there to be asked. */
  #haveAllAgreed(founders: readonly Member[]): boolean {
    const agreed = [...this.#met.values()].filter((other) => sameMembers(other.founders, founders))
    return agreed.length === founders.length - 1 || agreed.some(({ founded }) => founded)
  }

  #strangeness({ self, founders, expected, shards }: Introduction): string | undefined {
    const ours = this.#membership.founders
    if (self.node === this.#self.node)
      return `it calls itself ${self.node} as this node does; give each node a name of its own`
    if (ours.length > 0) {
      const known = ours.find(({ node }) => node === self.node)
      if (known === undefined) return `${self.node} is not a member of this cluster`
      if (known.directory !== self.directory) return `${self.node} has come back without its data and is not who it was`
      if (founders.length > 0 && !sameMembers(founders, ours))
        return `${self.node} belongs to a cluster of other members`
      return undefined
    }
    if (shards !== this.#shards)
      return `${self.node} is set to ${shards} shards, this node to ${this.#shards}; make them equal`
    if (founders.length > 0) {
      if (founders.some((member) => sameMember(member, this.#self)) && founders.length === this.#expected)
        return undefined
      return `${self.node} belongs to a cluster that this node is not a member of`
    }
    if (expected !== this.#expected)
      return `${self.node} expects ${expected} nodes, this node ${this.#expected}; make the join lists equal`
    return undefined
  }
}

function sameMember(one: Member, other: Member): boolean {
  return one.node === other.node && one.directory === other.directory
}

function sameMembers(some: readonly Member[], others: readonly Member[]): boolean {
  return (
    some.length === others.length &&
    some.every((member, at) => sameMember(member, others[at] ?? member) && others[at] !== undefined)
  )
}

function byNode(one: Member, other: Member): number {
  return one.node < other.node ? -1 : 1
}
