/** A node is an engine in the cluster: it hosts a replica of each group that it has a part in, and serves applications. */

import { malformed } from '../base/bytes.ts'
import type { TroupeError } from '../base/error.ts'
import { type GroupId, META_GROUP, type NodeId } from '../base/identity.ts'
import type { Random } from '../base/random.ts'
import type { Clock, Millis, Scheduler, Timer } from '../base/time.ts'
import { Host } from '../host/host.ts'
import type { LogDevice, SnapshotStore } from '../host/log-device.ts'
import type { PieceStores } from '../host/piece-files.ts'
import type { Network } from '../host/port.ts'
import { expectLevel, FIRST_LEVEL, LEVEL, type Level } from '../machine/level.ts'
import type { RaftEvent, RaftMessage, RaftOutput, RaftRequest, RaftWrite } from '../protocol/raft/message.ts'
import type { Channel } from '../wire/channel.ts'
import type { Introduction } from '../wire/introduction.ts'
import { FRAME } from '../wire/request.ts'
import { type Charter, type CharterStore, charterMissing, decodeCharter, encodeCharter, NO_CHARTER } from './charter.ts'
import { Founding } from './founding.ts'
import type { Group } from './group.ts'
import { Groups } from './groups.ts'
import { Leaders, REST_MS } from './leaders.ts'
import { NodeLiveness } from './liveness.ts'
import { Router } from './router.ts'
import type { NodeSettings } from './settings.ts'
import { SnapshotExchange } from './snapshot/exchange.ts'
import { DEFAULT_COMPACTION, Snapshotter } from './snapshot/snapshotter.ts'
import { statusOf, topologyOf } from './status.ts'
import { Transport } from './transport.ts'

export interface NodePorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  readonly network: Network
  readonly log: LogDevice
  readonly snapshots: SnapshotStore
  readonly pieces: PieceStores
  readonly charter: CharterStore
  /** The node contradicts itself or lost its disk, and has stopped: its process must end. */
  fatal(error: unknown): void
  /** What happened, for logs, traces and checkers. */
  observe(event: NodeEvent): void
}

export type NodeEvent =
  | { readonly type: 'raft'; readonly group: GroupId; readonly event: RaftEvent }
  | { readonly type: 'connected' | 'disconnected'; readonly node: NodeId }
  | { readonly type: 'founded'; readonly members: readonly string[] }
  | { readonly type: 'mended'; readonly group: GroupId; readonly from: NodeId }
  | { readonly type: 'stranger'; readonly node: NodeId; readonly reason: string }
  /** A peer has sent what none can have: its connection was closed. */
  | { readonly type: 'malformed'; readonly node: NodeId; readonly error: TroupeError }

export class ClusterNode {
  readonly settings: NodeSettings
  readonly #ports: NodePorts
  readonly #liveness: NodeLiveness
  readonly #transport: Transport
  readonly #router: Router
  readonly #host: Host<RaftMessage, RaftRequest, RaftOutput, RaftWrite, RaftEvent>
  readonly #groups: Groups
  readonly #leaders: Leaders
  readonly #exchange: SnapshotExchange
  readonly #snapshotter: Snapshotter
  readonly #founding: Founding
  readonly #met = new Map<NodeId, Introduction>()
  readonly #generations = new Map<string, number>()
  readonly #level: Level
  #charter: Charter
  /** What may be said to others: it is on disk. */
  #introduction: Introduction
  #isFounded = false
  #isUnsettled = true
  #isTopologyStale = false
  #reviewTimer: Timer | undefined
  #isStopped = false
  #mended = 0

  constructor(ports: NodePorts, settings: NodeSettings) {
    this.settings = settings
    this.#ports = ports
    const stored = ports.charter.read()
    this.#charter = stored === undefined ? NO_CHARTER : decodeCharter(stored)
    this.#level = settings.level ?? LEVEL
    expectLevel('this data directory is of a cluster', this.#charter.level, this.#level)
    this.#liveness = new NodeLiveness(ports, (peer) => this.#transport.beat(peer))
    this.#transport = new Transport(ports.network, this.#liveness, {
      introduced: (from, introduction) => this.#introduced(from, introduction),
      message: (from, { group, message }) => this.#groups.get(group)?.receive(from, message),
      frame: (from, frame) => this.#frame(from, frame),
      malformed: (node, error) => ports.observe({ type: 'malformed', node, error }),
    })
    this.#host = new Host({ ...ports, flush: () => this.#flush(), fatal: (error) => this.#fail(error) })
    const guard = (task: () => void): void => this.#guard(task)
    this.#exchange = new SnapshotExchange({
      guard,
      store: ports.snapshots,
      machine: (id, index) => {
        const group = this.#groups.get(id)
        return group !== undefined && group.applied.index >= index ? group.machine : undefined
      },
      mayLead: (group, node, term) => this.#groups.get(group)?.core.mayLead(node, term) ?? false,
      sendFrame: (to, frame) => this.#transport.sendFrame(to, frame),
      submit: (group, request) => this.#groups.get(group)?.submit(request),
    })
    const snapshotPorts = { ...ports, store: ports.snapshots, guard }
    this.#snapshotter = new Snapshotter(snapshotPorts, settings.compaction ?? DEFAULT_COMPACTION)
    this.#groups = this.#newGroups()
    this.#leaders = new Leaders(this.#groups, this.#liveness, settings.node)
    this.#router = this.#newRouter()
    const self = { node: settings.node, directory: settings.directory, address: settings.address }
    const others = settings.join.filter((address) => address !== settings.address)
    const expected = { nodes: others.length + 1, shards: settings.shards }
    // Nothing is in the log before the charter is on disk.
    const isForgotten = stored === undefined && ports.log.recovered.size > 0
    if (isForgotten && others.length === 0) throw charterMissing()
    this.#founding = new Founding(self, expected, isForgotten ? 'forgotten' : this.#charter.membership)
    this.#introduction = this.#introductionNow()
  }

  /** Meets the other nodes, and begins to serve as soon as the cluster exists. */
  start(): void {
    const { network } = this.#ports
    network.onPeer({
      connected: (node, generation) => this.#guard(() => this.#connected(node, generation)),
      disconnected: (node) => this.#guard(() => this.#disconnected(node)),
      frame: (from, frame) => this.#guard(() => this.#transport.received(from, frame)),
    })
    this.#generations.set(this.settings.node, this.settings.generation)
    if (this.#charter.membership.founded) this.#serve()
    const verdict = this.#founding.begin()
    if (verdict.type === 'agreed') this.#agree()
    const known = this.#charter.membership.founders.map(({ address }) => address)
    const addresses = new Set([...this.settings.join, ...known])
    addresses.delete(this.settings.address)
    addresses.delete('')
    network.dial([...addresses])
    this.#review()
  }

  /** Serves an application until its channel closes. */
  accept(channel: Channel): void {
    this.#router.accept(channel)
  }

  /** The cluster exists and this node takes part in it. */
  get isFounded(): boolean {
    return this.#isFounded
  }

  get groups(): ReadonlyMap<GroupId, Group> {
    return this.#groups.all
  }

  status(): ReturnType<typeof statusOf> {
    return statusOf(this.#view())
  }

  /** Hands every leadership to another node, as far as one is there to take it; calls `done` at the latest at the deadline. */
  drain(timeoutMs: Millis, done: () => void): void {
    this.#leaders.isDraining = true
    const { clock, scheduler } = this.#ports
    const deadline = clock.now() + timeoutMs
    const restMs = Math.min(REST_MS, timeoutMs / 2)
    const step = () => {
      const now = clock.now()
      if (this.#isStopped || now >= deadline || !this.#leaders.handOver(now, restMs)) done()
      else scheduler.at(now + DRAIN_STEP_MS, step)
    }
    step()
  }

  /** Stops at once, as a crash would, but for closing what it holds. Drain first. */
  stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#host.stop()
    this.#snapshotter.stop()
    for (const group of this.#groups.all.values()) group.stop()
    this.#reviewTimer?.cancel()
    this.#liveness.stop()
    this.#exchange.close()
    this.#router.close()
    this.#ports.network.close()
  }

  #newGroups(): Groups {
    const { settings } = this
    const levels = { level: this.#level, agreed: this.#charter.level }
    return new Groups(
      this.#host,
      { ...this.#ports, liveness: this.#liveness },
      { ...settings, ...levels },
      {
        send: (to, group, message) => this.#transport.send(to, group, message),
        sendSnapshot: (group, to, term) => this.#exchange.send(group.id, to, term),
        leadershipChanged: () => {
          this.#isTopologyStale = true
        },
        applied: (group) => {
          if (group.id === META_GROUP) this.#groups.reviewMeta()
        },
        ask: (to, group, question) => this.#router.ask(to, group, question),
        mended: (group, from) => {
          this.#mended++
          this.#ports.observe({ type: 'mended', group: group.id, from })
        },
        carry: (group, command, target, id) => this.#router.carry(group, command, target, id),
        decided: (shardMap, level) => {
          // A node that has no replica of any shard hears of no leadership that would make it tell.
          this.#isTopologyStale = true
          // With a higher level, an earlier version must not start with this directory any more.
          this.#remember({ ...this.#charter, shardMap, level }, () => {
            this.#introduction = this.#introductionNow()
          })
        },
        commonLevel: () => this.#commonLevel(),
        observe: (group, event) => this.#ports.observe({ type: 'raft', group: group.id, event }),
        fatal: (error) => this.#fail(error),
      },
    )
  }

  #newRouter(): Router {
    return new Router({
      group: (id) => this.#groups.get(id),
      groups: () => this.#groups.all.values(),
      nodeFor: (group) => this.#leaders.nodeFor(group),
      leaderOf: (group) => this.#leaders.leaderOf(group),
      relayFor: (group) => this.#leaders.relayFor(group),
      hinted: (group, leader) => this.#leaders.hinted(group, leader),
      sendFrame: (to, frame) => this.#transport.sendFrame(to, frame),
      disconnect: (node) => this.#ports.network.disconnect(node),
      schedule: () => this.#host.schedule(),
      topology: () => topologyOf(this.#view()),
      status: () => new TextEncoder().encode(JSON.stringify(this.status())),
    })
  }

  #connected(node: NodeId, generation: number): void {
    this.#generations.set(node, generation)
    this.#ports.observe({ type: 'connected', node })
    this.#transport.connected(node)
    this.#liveness.connected(node)
    this.#transport.introduce(node, this.#introduction)
  }

  #disconnected(node: NodeId): void {
    this.#ports.observe({ type: 'disconnected', node })
    const wasTrusted = this.#transport.isTrusted(node)
    this.#transport.disconnected(node)
    this.#liveness.disconnected(node)
    this.#founding.leave(node)
    this.#met.delete(node)
    if (!wasTrusted) return
    this.#router.peerLost(node)
    this.#exchange.peerLost(node)
    for (const group of this.#groups.all.values()) group.submit({ type: 'unreachable', node })
  }

  #introduced(from: NodeId, introduction: Introduction): void {
    if (introduction.self.node !== from) return
    const verdict = this.#founding.meet(introduction)
    if (verdict.type === 'stranger') {
      this.#turnAway(from, verdict.reason)
      return
    }
    const { own, agreed } = introduction.levels
    if (agreed > own) throw malformed('a member that does not execute what it has agreed on')
    expectLevel('the members have agreed on entries', agreed, this.#level)
    if (own < this.#groups.level) {
      this.#turnAway(from, `it executes level ${own}, and the members have agreed on ${this.#groups.level}; upgrade it`)
      return
    }
    this.#met.set(from, introduction)
    if (verdict.type === 'agreed') this.#agree()
    this.#trust(from)
  }

  #turnAway(node: NodeId, reason: string): void {
    this.#ports.observe({ type: 'stranger', node, reason })
    this.#ports.network.disconnect(node)
  }

  /** Messages are taken from, and sent to, founders who have agreed to the same list. */
  #trust(node: NodeId): void {
    if (!this.isFounded || this.#transport.isTrusted(node)) return
    const introduction = this.#met.get(node)
    if (introduction === undefined || introduction.founders.length === 0) return
    this.#transport.trust(node)
    this.#isTopologyStale = true
    for (const group of this.#groups.all.values()) group.submit({ type: 'reachable', node })
    this.#leaders.review(this.#ports.clock.now())
  }

  #agree(): void {
    const { membership } = this.#founding
    this.#remember({ ...this.#charter, membership }, () => {
      this.#introduction = this.#introductionNow()
      if (membership.founded && !this.#isFounded) this.#serve()
      for (const node of this.#met.keys()) this.#transport.introduce(node, this.#introduction)
      for (const node of this.#met.keys()) this.#trust(node)
      // What was learned from the others while the disk wrote.
      const verdict = this.#founding.begin()
      if (verdict.type === 'agreed') this.#agree()
    })
  }

  #introductionNow(): Introduction {
    return { ...this.#founding.introduction, levels: { own: this.#level, agreed: this.#charter.level } }
  }

  #commonLevel(): Level {
    const levels = this.#groups.members.map((node) =>
      node === this.settings.node ? this.#level : (this.#met.get(node)?.levels.own ?? FIRST_LEVEL),
    )
    return Math.min(...levels)
  }

  #remember(charter: Charter, then: () => void): void {
    this.#charter = charter
    this.#ports.charter.replace(encodeCharter(charter), (error) => {
      if (this.#isStopped) return
      if (error !== undefined) this.#fail(error)
      else this.#guard(then)
    })
  }

  #serve(): void {
    this.#isFounded = true
    const { membership, shardMap } = this.#charter
    const members = membership.founders.map(({ node }) => node)
    this.#ports.observe({ type: 'founded', members })
    this.#groups.found(members as NodeId[], shardMap)
    this.#isTopologyStale = true
    this.#host.schedule()
  }

  #frame(from: NodeId, frame: Uint8Array): void {
    if (frame[0] === FRAME.snapshot || frame[0] === FRAME.snapshotReply) this.#exchange.frame(from, frame)
    else this.#router.peerFrame(from, frame)
  }

  #flush(): void {
    if (this.#isTopologyStale) {
      this.#isTopologyStale = false
      this.#router.topologyChanged()
    }
    this.#router.flush()
    this.#transport.flush()
  }

  #review(): void {
    if (this.#isStopped) return
    const now = this.#ports.clock.now()
    this.#guard(() => {
      this.#snapshotter.review(this.#groups.all)
      this.#groups.reviewLevel()
      this.#isUnsettled = this.#leaders.review(now)
    })
    const pause = this.#isUnsettled ? UNSETTLED_REVIEW_MS : this.#snapshotter.reviewMs
    this.#reviewTimer = this.#ports.scheduler.at(now + pause, () => this.#review())
  }

  #view(): Parameters<typeof statusOf>[0] {
    const addresses = new Map(this.#charter.membership.founders.map(({ node, address }) => [node, address]))
    for (const [node, { self }] of this.#met) addresses.set(node, self.address)
    addresses.set(this.settings.node, this.settings.address)
    const { settings } = this
    const generations = this.#generations
    const mended = this.#mended
    return {
      settings,
      addresses,
      generations,
      mended,
      groups: this.#groups,
      leaders: this.#leaders,
      liveness: this.#liveness,
    }
  }

  /** An assertion that fails stops the node; what a peer may have caused has been dealt with before. */
  #guard(task: () => void): void {
    if (this.#isStopped) return
    try {
      task()
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    if (this.#isStopped) return
    this.stop()
    this.#ports.fatal(error)
  }
}

const DRAIN_STEP_MS: Millis = 10
/** How soon a cluster that has only begun to form is looked at again. */
const UNSETTLED_REVIEW_MS: Millis = 100
