/**
 * A handshake is how the two sides of a new connection learn who the other is, prove that both hold the secret, and
 * agree on a protocol version.
 *
 * ```
 * dialer → hello      listener → hello      dialer → proof      listener → ready (with its own proof)
 * ```
 *
 * Either side may answer `refuse` instead. A proof is an HMAC-SHA256 over both hellos, keyed by the secret, which
 * itself never travels; both hellos carry a fresh nonce, so that a recorded handshake proves nothing later, and the
 * proofs of the two sides differ, so that one can't be reflected as the other. The dialer proves first: whoever merely
 * connects gets nothing to work on. What follows a handshake is neither encrypted nor signed; that is the business of
 * TLS.
 */

import { ByteReader, ByteWriter, malformed } from '../base/bytes.ts'
import { type ErrorCode, TroupeError } from '../base/error.ts'
import { isNodeId } from '../base/identity.ts'

/** The versions of the frame formats that this code can speak. */
const PROTOCOL_VERSIONS: VersionRange = { min: 1, max: 1 }

/** Optional abilities, by their bits. */
export const FEATURE = {
  /** Each frame after the handshake begins with the CRC-32 of what follows: TCP's own checksum misses one damaged packet in 65,536. */
  checksums: 1,
} as const

export const NONCE_BYTES = 32
const PROOF_BYTES = 32
const MAGIC = 0x45505254 // 'TRPE', read as a little-endian number
const MOST_CLUSTER_BYTES = 128
const MOST_NODE_BYTES = 64
const MOST_ADDRESS_BYTES = 300
const MOST_REASON_BYTES = 1024

/** What a refusal may be about; no stranger can make this side believe anything else. */
const REFUSAL_CODES: readonly ErrorCode[] = ['UNAUTHENTICATED', 'WRONG_CLUSTER', 'VERSION_SKEW']

const HELLO = 1
const PROOF = 2
const READY = 3
const REFUSE = 4

export interface VersionRange {
  readonly min: number
  readonly max: number
}

/** Who one side says it is. */
export interface Party {
  /** A `'client'` hosts nothing; only it may leave `cluster` and `node` empty. */
  readonly role: 'peer' | 'client'
  /** Empty: any cluster will do, the other side's is learnt. */
  readonly cluster: string
  readonly node: string
  /** How often the node has started with its data directory. */
  readonly generation: number
  /** Where the node can be reached, as `host:port`; empty for a client. */
  readonly address: string
}

/** What one side brings to a handshake. */
export interface HandshakeSettings extends Party {
  /** Both sides have the same, or both have none. */
  readonly secret?: Uint8Array | undefined
  /** Default: 1 to 1. */
  readonly versions?: VersionRange
  /** Bits of optional abilities ({@link FEATURE}); both sides use those that both have. Default: all that this code has. */
  readonly features?: number
}

/** The cryptography that a handshake needs. */
export interface HandshakeCrypto {
  /** 32 fresh bytes that nobody can predict. */
  nonce(): Uint8Array
  /** HMAC-SHA256. */
  hmac(key: Uint8Array, bytes: Uint8Array): Uint8Array
}

/** What both sides now hold to be true. */
export interface Agreement {
  readonly peer: Party
  /** The highest version that both speak. */
  readonly version: number
  readonly features: number
}

/** What is to be sent now, if anything, and how the handshake stands after it. */
export type HandshakeStep =
  | { readonly type: 'waiting'; readonly send: Uint8Array }
  | { readonly type: 'accepted'; readonly send: Uint8Array | undefined; readonly agreement: Agreement }
  | { readonly type: 'refused'; readonly send: Uint8Array | undefined; readonly error: TroupeError }

interface Hello extends Party {
  readonly bytes: Uint8Array
  readonly versions: VersionRange
  readonly features: number
  readonly authenticates: boolean
}

/** One side of one handshake. Frames go in and out without their length prefix; a step other than `'waiting'` is the last. */
export class Handshake {
  readonly side: 'dialer' | 'listener'
  readonly #settings: HandshakeSettings
  readonly #crypto: HandshakeCrypto
  readonly #own: Hello
  #theirs: Hello | undefined

  constructor(side: 'dialer' | 'listener', settings: HandshakeSettings, crypto: HandshakeCrypto) {
    this.side = side
    this.#settings = settings
    this.#crypto = crypto
    this.#own = writeHello(settings, crypto.nonce())
  }

  /** The frame with which this side speaks first; undefined for the listener, which waits to be spoken to. */
  start(): Uint8Array | undefined {
    return this.side === 'dialer' ? this.#own.bytes : undefined
  }

  receive(frame: Uint8Array): HandshakeStep {
    try {
      return this.#step(new ByteReader(frame))
    } catch (error) {
      if (!(error instanceof TroupeError)) throw error
      // Whoever speaks something else gets no answer: it may be anything.
      const answers = error.code !== 'DATA_DAMAGED' && !(error instanceof RefusedByOther)
      return { type: 'refused', send: answers ? writeRefusal(error) : undefined, error }
    }
  }

  #step(reader: ByteReader): HandshakeStep {
    const type = reader.u8()
    if (type === REFUSE) throw readRefusal(reader)
    if (this.#theirs === undefined) {
      if (type !== HELLO) throw malformed('a handshake does not begin with a hello')
      this.#theirs = readHello(reader)
      checkHellos(this.#own, this.#theirs)
      return { type: 'waiting', send: this.side === 'dialer' ? this.#proof(PROOF) : this.#own.bytes }
    }
    if (type !== (this.side === 'dialer' ? READY : PROOF)) throw malformed('a handshake is out of order')
    this.#checkProof(reader.blob(PROOF_BYTES), type)
    const send = this.side === 'dialer' ? undefined : this.#proof(READY)
    return { type: 'accepted', send, agreement: agreementOf(this.#own, this.#theirs) }
  }

  #proof(type: number): Uint8Array {
    const writer = new ByteWriter(64)
    writer.u8(type)
    writer.blob(this.#settings.secret === undefined ? new Uint8Array(0) : this.#sign(this.#settings.secret, type))
    return writer.take()
  }

  #checkProof(proof: Uint8Array, type: number): void {
    const { secret } = this.#settings
    if (secret === undefined || equalInConstantTime(proof, this.#sign(secret, type))) return
    throw new TroupeError(
      'UNAUTHENTICATED',
      'the two sides hold different secrets: give every node and client of the cluster the same `secret` (TROUPE_SECRET)',
    )
  }

  #sign(secret: Uint8Array, type: number): Uint8Array {
    const [dialer, listener] = this.side === 'dialer' ? [this.#own, this.#theirs] : [this.#theirs, this.#own]
    const transcript = new ByteWriter(1024)
    transcript.text('troupe handshake 1')
    transcript.u8(type)
    transcript.blob(dialer?.bytes ?? new Uint8Array(0))
    transcript.blob(listener?.bytes ?? new Uint8Array(0))
    return this.#crypto.hmac(secret, transcript.take())
  }
}

function checkHellos(own: Hello, theirs: Hello): void {
  if (own.authenticates !== theirs.authenticates) {
    const [holder, other] = own.authenticates ? [own, theirs] : [theirs, own]
    throw new TroupeError(
      'UNAUTHENTICATED',
      `${nameOf(holder)} requires a secret and ${nameOf(other)} has none: set the cluster's \`secret\` (TROUPE_SECRET) there`,
    )
  }
  if (commonVersion(own, theirs) < Math.max(own.versions.min, theirs.versions.min)) {
    throw new TroupeError(
      'VERSION_SKEW',
      `${nameOf(own)} speaks protocol versions ${own.versions.min} to ${own.versions.max}, ` +
        `${nameOf(theirs)} ${theirs.versions.min} to ${theirs.versions.max}: upgrade the older one`,
    )
  }
  const anyCluster = own.cluster === '' || theirs.cluster === ''
  if (!anyCluster && own.cluster !== theirs.cluster) {
    throw new TroupeError(
      'WRONG_CLUSTER',
      `${nameOf(own)} belongs to cluster '${own.cluster}', ${nameOf(theirs)} to '${theirs.cluster}': ` +
        'check `cluster`, `join` and `connect`',
    )
  }
}

function agreementOf(own: Hello, theirs: Hello): Agreement {
  const { role, cluster, node, generation, address } = theirs
  return {
    peer: { role, cluster, node, generation, address },
    version: commonVersion(own, theirs),
    features: (own.features & theirs.features) >>> 0,
  }
}

function commonVersion(own: Hello, theirs: Hello): number {
  return Math.min(own.versions.max, theirs.versions.max)
}

function nameOf(party: Party): string {
  return party.role === 'client' ? 'the client' : `node '${party.node}'`
}

/** The layout of a hello never changes; a later version may only add fields at its end. */
function writeHello(settings: HandshakeSettings, nonce: Uint8Array): Hello {
  const { role, cluster, node, generation, address, versions = PROTOCOL_VERSIONS } = settings
  const { features = FEATURE.checksums } = settings
  const authenticates = settings.secret !== undefined
  const writer = new ByteWriter(512)
  writer.u8(HELLO)
  writer.u32(MAGIC)
  writer.u16(versions.min)
  writer.u16(versions.max)
  writer.u32(features)
  writer.u8(role === 'peer' ? 1 : 2)
  writer.u8(authenticates ? 1 : 0)
  writer.raw(nonce)
  writer.u53(generation)
  writer.text(cluster)
  writer.text(node)
  writer.text(address)
  return { role, cluster, node, generation, address, versions, features, authenticates, bytes: writer.take() }
}

function readHello(reader: ByteReader): Hello {
  if (reader.u32() !== MAGIC) throw malformed('this is not a Troupe connection')
  const versions = { min: reader.u16(), max: reader.u16() }
  const features = reader.u32()
  const role = reader.u8() === 1 ? 'peer' : 'client'
  const authenticates = reader.u8() === 1
  reader.raw(NONCE_BYTES)
  const generation = reader.u53()
  const cluster = reader.text(MOST_CLUSTER_BYTES)
  const node = reader.text(MOST_NODE_BYTES)
  const address = reader.text(MOST_ADDRESS_BYTES)
  if (role === 'peer' && (cluster === '' || !isNodeId(node))) throw malformed('a peer does not say who it is')
  return { role, cluster, node, generation, address, versions, features, authenticates, bytes: reader.bytes.slice() }
}

/** The other side's refusal needs no answer. */
class RefusedByOther extends TroupeError {}

function writeRefusal(error: TroupeError): Uint8Array {
  const writer = new ByteWriter(256)
  writer.u8(REFUSE)
  writer.text(error.code)
  // At most three bytes a character.
  writer.text(error.message.slice(0, Math.floor(MOST_REASON_BYTES / 3)))
  return writer.take()
}

function readRefusal(reader: ByteReader): RefusedByOther {
  const text = reader.text(64)
  const code = REFUSAL_CODES.find((known) => known === text) ?? 'VERSION_SKEW'
  const reason = reader.text(MOST_REASON_BYTES).replace(/\p{C}/gu, ' ')
  return new RefusedByOther(code, `the other side refused the connection: ${reason}`)
}

function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length
  for (const [at, byte] of b.entries()) difference |= byte ^ (a[at] ?? 0)
  return difference === 0
}
