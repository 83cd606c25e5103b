/** A data directory belongs to one node of one cluster for ever, and counts the node's starts. */

import { ByteReader, ByteWriter } from '../base/bytes.ts'
import { TroupeError } from '../base/error.ts'
import { isNodeId, type NodeId } from '../base/identity.ts'
import { LogHead } from './log/head.ts'
import { segmentNumbers } from './log/segments.ts'
import type { Disk } from './port.ts'
import { REMEDY } from './remedy.ts'
import { SealedFile } from './sealed-file.ts'
import { settled } from './settled.ts'

/**
 * Raised with every change that makes older logs or snapshots mean something else, whichever part of them it is in.
 * Format 1 was that of queues without weights and of outboxes without lanes.
 */
const FORMAT = 2

export interface Identity {
  /** Id of the cluster. */
  readonly cluster: string
  readonly node: NodeId
  /** Number of this start, from 1: tells a restarted node from the same one with a new connection. */
  readonly generation: number
}

/** The identity in a directory, as of the last start; undefined in an empty one. Throws `DATA_DAMAGED`, `VERSION_SKEW`. */
export function readIdentity(disk: Disk): Identity | undefined {
  const content = identityFile(disk).read()
  if (content === undefined) {
    if (segmentNumbers(disk.list()).length > 0) throw missing('identity')
    return
  }
  // Without it, nobody would miss the end of the log.
  if (!LogHead.isIn(disk)) throw missing('head')
  return decode(content)
}

/**
 * Claims the directory for this node, and counts a start; what it returns is durable.
 *
 * Throws `WRONG_CLUSTER` when the directory belongs to another cluster or node, `DATA_DAMAGED`, `VERSION_SKEW`,
 * `DISK_FAILED`; then nothing was changed.
 */
export async function claimDirectory(disk: Disk, owner: Omit<Identity, 'generation'>): Promise<Identity> {
  const previous = readIdentity(disk)
  if (previous !== undefined) checkOwner(previous, owner)
  else await settled((done) => new LogHead(disk).begin(done))
  const identity = { cluster: owner.cluster, node: owner.node, generation: (previous?.generation ?? 0) + 1 }
  await settled((done) => identityFile(disk).replace(encode(identity), done))
  return identity
}

/** Every claimed directory has this file. */
function missing(file: string): TroupeError {
  return new TroupeError('DATA_DAMAGED', `the data directory has lost its file \`${file}\`. ${REMEDY}`, {
    details: { file, offset: 0 },
  })
}

function checkOwner(found: Identity, owner: Omit<Identity, 'generation'>): void {
  if (found.cluster === owner.cluster && found.node === owner.node) return
  throw new TroupeError(
    'WRONG_CLUSTER',
    `the data directory belongs to node ${found.node} of cluster ${found.cluster}, not to node ${owner.node} of cluster ` +
      `${owner.cluster}. Nothing was changed. Correct \`dataDir\`, or the names of cluster and node.`,
    { details: { found, wanted: owner } },
  )
}

function identityFile(disk: Disk): SealedFile {
  return new SealedFile(disk, { name: 'identity', format: FORMAT, oldest: FORMAT })
}

function encode(identity: Identity): Uint8Array {
  const writer = new ByteWriter()
  writer.text(identity.cluster)
  writer.text(identity.node)
  writer.u53(identity.generation)
  return writer.take()
}

function decode(content: Uint8Array): Identity {
  const reader = new ByteReader(content)
  const cluster = reader.text()
  const node = reader.text()
  if (!isNodeId(node))
    throw new TroupeError('DATA_DAMAGED', 'identity names no node', { details: { file: 'identity' } })
  return { cluster, node, generation: reader.u53() }
}
