/** The memory snapshots are the snapshot store of a node that keeps nothing over a restart. */

import type { GroupId } from '../../base/identity.ts'
import type { SnapshotHeader, SnapshotStore, SnapshotWriter, StoredSnapshot } from '../log-device.ts'

export class MemorySnapshots implements SnapshotStore {
  readonly #newest = new Map<GroupId, StoredSnapshot>()

  newest(group: GroupId): StoredSnapshot | undefined {
    return this.#newest.get(group)
  }

  begin(group: GroupId, header: SnapshotHeader): SnapshotWriter {
    let chunks: Uint8Array[] = []
    return {
      write: (chunk) => {
        chunks.push(chunk.slice())
      },
      finish: (done) => {
        const known = this.#newest.get(group)?.header.position.index ?? 0
        if (header.position.index >= known) this.#newest.set(group, stored(header, chunks))
        done(undefined)
      },
      abandon: () => {
        chunks = []
      },
    }
  }
}

function stored(header: SnapshotHeader, chunks: readonly Uint8Array[]): StoredSnapshot {
  const body = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    body.set(chunk, at)
    at += chunk.length
  }
  return { header, bytes: body.length, read: (offset, length) => body.slice(offset, offset + length), close: () => {} }
}
