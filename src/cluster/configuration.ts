/** The configuration of a group as bytes: who votes, who is leaving, who only listens. */

import { ByteReader, ByteWriter, malformed } from '../base/bytes.ts'
import { isNodeId, type NodeId } from '../base/identity.ts'
import type { Configuration } from '../protocol/raft/message.ts'

const NODES_LIMIT = 1024

export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const writer = new ByteWriter()
  for (const nodes of [configuration.incoming, configuration.outgoing, configuration.learners]) {
    writer.u32(nodes.length)
    for (const node of nodes) writer.text(node)
  }
  return writer.take()
}

export function decodeConfiguration(bytes: Uint8Array): Configuration {
  const reader = new ByteReader(bytes)
  return { incoming: readNodes(reader), outgoing: readNodes(reader), learners: readNodes(reader) }
}

function readNodes(reader: ByteReader): NodeId[] {
  const count = reader.u32()
  if (count > NODES_LIMIT) throw malformed('a configuration has too many nodes')
  const nodes: NodeId[] = []
  for (let at = 0; at < count; at++) {
    const node = reader.text(64)
    if (!isNodeId(node)) throw malformed('a configuration names something that is no node')
    nodes.push(node)
  }
  return nodes
}
