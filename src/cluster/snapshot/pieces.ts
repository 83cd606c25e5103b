/** A snapshot with pieces is what a peer is sent: the snapshot as it is stored, and after it the bytes of the large payloads. */

import { hashNumber, hashText } from '../../base/hash.ts'
import type { StoredSnapshot } from '../../host/log-device.ts'
import type { Machine } from '../../machine/machine.ts'
import type { Piece } from '../../machine/pieces.ts'
import { encodePiece, pieceFrameBytes } from '../../machine/snapshot.ts'

interface Place {
  readonly piece: Piece
  /** Behind the snapshot's own bytes. */
  readonly at: number
}

export interface SnapshotWithPieces extends StoredSnapshot {
  /** A hash of which pieces follow, and in which order: they are those that the machine has now. */
  readonly content: number
}

/** Pieces are read one at a time, when the peer has come so far. */
export function withPieces(snapshot: StoredSnapshot, machine: Machine): SnapshotWithPieces {
  const places: Place[] = []
  let length = 0
  let content = 0
  for (const piece of machine.pieces()) {
    places.push({ piece, at: length })
    length += pieceFrameBytes(piece)
    content = hashNumber(piece.crc, hashText(`${piece.upload} ${piece.offset} ${piece.length}`, content))
  }
  let present: { readonly at: number; readonly frame: Uint8Array } | undefined
  const frameAt = (offset: number): NonNullable<typeof present> => {
    if (present !== undefined && offset >= present.at && offset < present.at + present.frame.length) return present
    const { piece, at } = placeOf(places, offset)
    present = { at, frame: encodePiece(piece, machine.readPiece(piece)) }
    return present
  }
  return {
    header: snapshot.header,
    bytes: snapshot.bytes + length,
    content,
    read(offset, wanted) {
      if (offset < snapshot.bytes) return snapshot.read(offset, Math.min(wanted, snapshot.bytes - offset))
      const within = offset - snapshot.bytes
      if (within >= length) return new Uint8Array(0)
      const { at, frame } = frameAt(within)
      return frame.subarray(within - at, within - at + wanted)
    },
    close: () => snapshot.close(),
  }
}

/** The last one that begins there or before. */
function placeOf(places: readonly Place[], offset: number): Place {
  let [low, high] = [0, places.length - 1]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((places[middle]?.at ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  const place = places[low]
  if (place === undefined) throw new RangeError('there is no such place behind the snapshot')
  return place
}
