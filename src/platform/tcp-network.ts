/** The TCP network: one listening socket for peers and clients, and one connection to each peer that stays or comes back. */

import { createServer, type Server, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { clearInterval, setInterval } from 'node:timers'
import { required } from '../base/assert.ts'
import { TroupeError } from '../base/error.ts'
import type { NodeId } from '../base/identity.ts'
import type { Random } from '../base/random.ts'
import type { Millis } from '../base/time.ts'
import type { Network, PeerHandler } from '../host/port.ts'
import { formatAddress, parseAddress } from '../runtime/address.ts'
import type { Channel } from '../wire/channel.ts'
import { type Agreement, Handshake, type Party } from '../wire/handshake.ts'
import type { DeadBuffers } from './dead-buffers.ts'
import { Dialer } from './dialer.ts'
import { HANDSHAKE_LIMITS, type HandshakeLimits, hangUp, shakeHands } from './handshake.ts'
import { systemCrypto } from './random.ts'
import { CLIENT_BUDGET_BYTES, TcpChannel, type TcpChannelSettings } from './tcp-channel.ts'
import { UnsentTotal } from './unsent.ts'

export interface TcpNetworkOptions {
  /** `host:port` to listen on, port 0 for any; absent: nobody can connect. */
  readonly listen?: string | undefined
  /** `host:port` at which others reach this node; default: where it listens. */
  readonly advertise?: string | undefined
  readonly secret?: Uint8Array | undefined
  /** Spreads the attempts of many nodes. */
  readonly random: Random
  readonly limits?: Partial<NetworkLimits>
  /** Told once when a node that this one dials refuses it, or must be refused: trying again will not help. */
  readonly refused?: (address: string, error: TroupeError) => void
  /** Where the buffers go that large frames leave behind; see `TcpChannelSettings`. */
  readonly deadBuffers?: DeadBuffers | undefined
}

export interface NetworkLimits {
  /** Bytes on their way to one peer. */
  readonly peerBudgetBytes: number
  /** Bytes on their way to one client. */
  readonly clientBudgetBytes: number
  /** Bytes on their way to all clients; beyond it the one that leaves the most unread is cut off. */
  readonly clientsBudgetBytes: number
  readonly clients: number
  /** Connections whose handshake is under way. */
  readonly strangers: number
  readonly handshake: HandshakeLimits
  /** A peer that is sent to but says nothing for this long, or half as long again, is connected to anew. */
  readonly silenceMs: Millis
  readonly firstRetryMs: Millis
  readonly lastRetryMs: Millis
}

const NETWORK_LIMITS: NetworkLimits = {
  peerBudgetBytes: 32 * 2 ** 20,
  clientBudgetBytes: CLIENT_BUDGET_BYTES,
  clientsBudgetBytes: 256 * 2 ** 20,
  clients: 4_096,
  strangers: 64,
  handshake: HANDSHAKE_LIMITS,
  silenceMs: 5_000,
  firstRetryMs: 20,
  lastRetryMs: 1_000,
}

/** Who this node is to others. */
export interface NetworkIdentity {
  readonly cluster: string
  readonly node: NodeId
  readonly generation: number
}

/** How often things happened since the node started. */
export interface NetworkCounters {
  /** Connections to peers that stood. */
  connected: number
  disconnected: number
  clients: number
  /** Handshakes that ended in a refusal by either side. */
  refused: number
  /** Connections closed because of bytes that no Troupe node or client sends, or that were damaged on the way. */
  hostile: number
  /** Connections closed unanswered because too many came after them, or because the node was not ready. */
  crowded: number
  /** Connections to peers given up because nothing came back. */
  silent: number
  dialFailures: number
  /** Frames not taken because a peer's byte budget was spent. */
  overBudget: number
}

interface PeerConnection {
  readonly channel: TcpChannel
  readonly generation: number
  readonly since: Millis
  /** The traffic at the last look, and how many looks ago something was last received. */
  received: number
  sent: number
  silentLooks: number
}

/** A knock on a connection younger than this is a leftover of the start, in which both sides dial at once. */
const YOUNG_MS = 1_000
/** Nodes that this one does not know by its configuration are dialed back up to this many. */
const MOST_DIALERS = 1_024

/**
 * Of two peers, the one whose id is smaller dials, so that there is exactly one connection and no race. The other one only
 * knocks: it connects, both sides close that connection, and the smaller dials back at once, at the address it has just
 * been told. A node that has restarted is thus connected within milliseconds, whichever it is.
 */
export class TcpNetwork implements Network {
  readonly counters: NetworkCounters = {
    connected: 0,
    disconnected: 0,
    clients: 0,
    refused: 0,
    hostile: 0,
    crowded: 0,
    silent: 0,
    dialFailures: 0,
    overBudget: 0,
  }
  /** Why the last attempt at each address failed; empty where a connection stands. */
  readonly troubles: Map<string, TroupeError> = new Map()
  readonly #options: TcpNetworkOptions
  readonly #limits: NetworkLimits
  readonly #server: Server | undefined
  readonly #peers = new Map<NodeId, PeerConnection>()
  readonly #dialers = new Map<string, Dialer>()
  readonly #strangers = new Set<Socket>()
  readonly #clients = new Set<Channel>()
  readonly #unsent: UnsentTotal
  #peerHandler: PeerHandler | undefined
  #clientHandler: ((channel: Channel) => void) | undefined
  #self: Party | undefined
  #watch: NodeJS.Timeout | undefined
  #closed = false

  private constructor(options: TcpNetworkOptions, server: Server | undefined) {
    this.#options = options
    this.#limits = { ...NETWORK_LIMITS, ...options.limits }
    this.#unsent = new UnsentTotal(this.#limits.clientsBudgetBytes)
    this.#server = server
    server?.on('connection', (socket) => this.#answer(socket))
  }

  /** Listens. Rejects with `ADDRESS_IN_USE` or `ADDRESS_INVALID`. Connections are served from `start` on. */
  static async bind(options: TcpNetworkOptions): Promise<TcpNetwork> {
    return new TcpNetwork(options, options.listen === undefined ? undefined : await listen(options.listen))
  }

  /** `host:port` at which others reach this node; undefined when it does not listen. */
  get address(): string | undefined {
    const { advertise, listen } = this.#options
    if (advertise !== undefined || listen === undefined) return advertise
    const bound = this.#server?.address()
    if (typeof bound !== 'object' || bound === null) return undefined
    // By the host's name, if it has one: lists of members have that, and it may come to mean another machine.
    return formatAddress({ host: parseAddress(listen, true).host, port: bound.port })
  }

  onPeer(handler: PeerHandler): void {
    this.#peerHandler = handler
  }

  /** Who is handed the channel of each client that connects. Set before `start`. */
  onClient(handler: (channel: Channel) => void): void {
    this.#clientHandler = handler
  }

  start(identity: NetworkIdentity): void {
    this.#self = { role: 'peer', address: this.address ?? '', ...identity }
    this.#watch = setInterval(() => this.#lookForSilence(), this.#limits.silenceMs / 2)
    this.#watch.unref()
    for (const dialer of this.#dialers.values()) dialer.dial()
  }

  dial(addresses: readonly string[]): void {
    for (const [address, dialer] of this.#dialers) {
      if (addresses.includes(address)) continue
      dialer.stop()
      this.#dialers.delete(address)
    }
    for (const address of addresses) this.#keepDialing(address)
  }

  send(to: NodeId, frame: Uint8Array): boolean {
    const peer = this.#peers.get(to)
    if (peer === undefined) return false
    if (peer.channel.send(frame)) return true
    this.counters.overBudget++
    return false
  }

  disconnect(node: NodeId): void {
    this.#peers.get(node)?.channel.abort(new TroupeError('CLOSED', `node '${node}' is not wanted`))
    for (const dialer of this.#dialers.values()) if (dialer.node === node) dialer.rest()
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#watch)
    this.#server?.close()
    for (const dialer of this.#dialers.values()) dialer.stop()
    for (const socket of this.#strangers) socket.destroy()
    for (const { channel } of this.#peers.values()) channel.close()
    for (const channel of this.#clients) channel.close()
  }

  #keepDialing(address: string): Dialer {
    const dialer = this.#dialers.get(address) ?? this.#newDialer(address)
    if (!this.#dialers.has(address) && this.#self !== undefined) dialer.dial()
    this.#dialers.set(address, dialer)
    return dialer
  }

  #newDialer(address: string): Dialer {
    parseAddress(address)
    return new Dialer(address, {
      handshake: () => this.#handshake('dialer'),
      connected: (socket, agreement, dialer) => this.#dialed(socket, agreement, dialer),
      failed: (to, error) => this.#failed(to, error),
      isConnected: (peer) => this.#peers.has(peer),
      random: this.#options.random,
      limits: this.#limits,
    })
  }

  #handshake(side: 'dialer' | 'listener'): Handshake {
    return new Handshake(
      side,
      { ...required(this.#self, 'identity of the node'), secret: this.#options.secret },
      systemCrypto,
    )
  }

  #dialed(socket: Socket, agreement: Agreement, dialer: Dialer): void {
    const { peer } = agreement
    const own = this.#self?.node ?? ''
    this.troubles.delete(dialer.address)
    dialer.node = peer.node as NodeId
    if (own < peer.node) {
      this.#established(socket, agreement)
      return
    }
    // A knock: the other side now dials back. Should it fail, the dialer knocks again.
    hangUp(socket)
    if (own === peer.node) this.#metOwnName(peer, dialer)
  }

  #metOwnName(peer: Party, dialer: Dialer): void {
    if (peer.address === this.#self?.address) {
      dialer.stop()
      return
    }
    const message = `it calls itself '${peer.node}' as this node does: give each node a name of its own`
    this.#failed(dialer.address, new TroupeError('INVALID_ARGUMENT', message))
  }

  #failed(address: string, error: TroupeError): void {
    const isFirst = this.troubles.get(address)?.code !== error.code
    this.troubles.set(address, error)
    if (error.code === 'UNREACHABLE') this.counters.dialFailures++
    else {
      this.counters.refused++
      if (isFirst) this.#options.refused?.(address, error)
    }
  }

  #answer(socket: Socket): void {
    if (this.#self === undefined || this.#closed) {
      this.counters.crowded++
      socket.on('error', () => {}).destroy()
      return
    }
    this.#makeRoom()
    this.#strangers.add(socket)
    shakeHands(socket, this.#handshake('listener'), this.#limits.handshake, (result) => {
      if (!this.#strangers.delete(socket)) return
      if (result.type === 'refused') this.#turnedAway(result.error)
      else if (this.#closed) socket.on('error', () => {}).destroy()
      else if (result.agreement.peer.role === 'client') this.#serve(socket, result.agreement)
      else this.#welcome(socket, result.agreement)
    })
  }

  /** Whoever means well needs milliseconds: the one that has been silent for longest goes, or silent ones could keep all others out. */
  #makeRoom(): void {
    if (this.#strangers.size < this.#limits.strangers) return
    for (const oldest of this.#strangers) {
      this.#strangers.delete(oldest)
      this.counters.crowded++
      oldest.destroy()
      return
    }
  }

  #turnedAway(error: TroupeError): void {
    if (error.code === 'DATA_DAMAGED') this.counters.hostile++
    else this.counters.refused++
  }

  #serve(socket: Socket, { features }: Agreement): void {
    if (this.#clients.size >= this.#limits.clients || this.#clientHandler === undefined) {
      this.counters.crowded++
      hangUp(socket)
      return
    }
    this.counters.clients++
    const channel = this.#channel(socket, {
      budgetBytes: this.#limits.clientBudgetBytes,
      features,
      total: this.#unsent,
    })
    this.#clients.add(channel)
    socket.once('close', () => this.#clients.delete(channel))
    this.#clientHandler(channel)
  }

  #welcome(socket: Socket, agreement: Agreement): void {
    const own = this.#self?.node ?? ''
    const { peer } = agreement
    if (peer.node < own) {
      this.#established(socket, agreement)
      return
    }
    hangUp(socket)
    if (peer.node > own) this.#dialBack(peer)
  }

  #dialBack(peer: Party): void {
    const node = peer.node as NodeId
    const standing = this.#peers.get(node)
    if (standing !== undefined) {
      if (standing.generation === peer.generation && performance.now() - standing.since < YOUNG_MS) return
      standing.channel.abort(new TroupeError('UNREACHABLE', `node '${node}' has connected anew`))
    }
    const known = [...this.#dialers.values()].some((dialer) => dialer.node === node)
    if (!known && this.#dialers.size < MOST_DIALERS && isAddress(peer.address)) {
      this.#keepDialing(peer.address).node = node
    }
    this.#dialers.forEach((dialer) => {
      if (dialer.node === node) dialer.dial()
    })
  }

  #established(socket: Socket, { peer, features }: Agreement): void {
    const node = peer.node as NodeId
    const former = this.#peers.get(node)
    const channel = this.#channel(socket, { budgetBytes: this.#limits.peerBudgetBytes, features })
    const since = performance.now()
    const connection = { channel, generation: peer.generation, since, received: 0, sent: 0, silentLooks: 0 }
    this.#peers.set(node, connection)
    if (former !== undefined) this.#replaced(node, former)
    this.counters.connected++
    channel.onClose(() => this.#lost(node, connection))
    this.#peerHandler?.connected(node, peer.generation)
    channel.onFrame((frame) => this.#peerHandler?.frame(node, frame))
  }

  #channel(socket: Socket, settings: Pick<TcpChannelSettings, 'budgetBytes' | 'features' | 'total'>): TcpChannel {
    const { deadBuffers } = this.#options
    return new TcpChannel(socket, { ...settings, hostile: () => this.counters.hostile++, deadBuffers })
  }

  #replaced(node: NodeId, former: PeerConnection): void {
    former.channel.abort(new TroupeError('UNREACHABLE', `node '${node}' has connected anew`))
    this.counters.disconnected++
    this.#peerHandler?.disconnected(node)
  }

  #lost(node: NodeId, connection: PeerConnection): void {
    if (this.#closed || this.#peers.get(node) !== connection) return
    this.#peers.delete(node)
    this.counters.disconnected++
    this.#peerHandler?.disconnected(node)
    // Whatever ended so soon may end as soon again: then the pauses go on growing.
    const isYoung = performance.now() - connection.since < YOUNG_MS
    for (const dialer of this.#dialers.values()) {
      if (dialer.node !== node) continue
      if (isYoung) dialer.retry()
      else dialer.dial()
    }
  }

  /**
   * After a partition TCP repeats what was not confirmed at ever longer intervals, up to two minutes. A new connection
   * stands at once, so one on which nothing comes back is given up.
   */
  #lookForSilence(): void {
    for (const connection of this.#peers.values()) {
      const { received, sent } = connection.channel.traffic
      const silent = received === connection.received && sent > connection.sent
      connection.silentLooks = silent ? connection.silentLooks + 1 : 0
      connection.received = received
      connection.sent = sent
      if (connection.silentLooks < 3) continue
      this.counters.silent++
      connection.channel.abort(new TroupeError('UNREACHABLE', 'nothing came back'))
    }
  }
}

function listen(address: string): Promise<Server> {
  const { host, port } = parseAddress(address, true)
  return new Promise((resolve, reject) => {
    const server = createServer({ noDelay: true })
    const refuse = (error: NodeJS.ErrnoException): void => reject(unbindable(address, error))
    server.once('error', refuse)
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', refuse)
      // A connection that can't be accepted (no more file descriptors) is its dialer's to try again.
      server.on('error', () => {})
      resolve(server)
    })
  })
}

function unbindable(address: string, cause: NodeJS.ErrnoException): TroupeError {
  if (cause.code === 'EADDRINUSE') {
    const message = `another process listens on ${address}: stop it, or choose another \`listen\` address`
    return new TroupeError('ADDRESS_IN_USE', message, { cause })
  }
  return new TroupeError('ADDRESS_INVALID', `cannot listen on ${address}: ${cause.message}`, { cause })
}

function isAddress(text: string): boolean {
  try {
    return parseAddress(text).port > 0
  } catch {
    return false
  }
}
