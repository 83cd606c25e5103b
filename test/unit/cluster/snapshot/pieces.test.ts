import { expect, test } from 'vitest'
import { withPieces } from '../../../../src/cluster/snapshot/pieces.ts'
import type { StoredSnapshot } from '../../../../src/host/log-device.ts'
import { QUEUE_COMMAND } from '../../../../src/machine/queue/command.ts'
import { encodePieceName } from '../../../../src/machine/queue/encode.ts'
import { Shard } from '../../../../src/machine/shard.ts'
import { apply } from '../../machine/operations.ts'
import { command, QUEUE } from '../../machine/queue/operations.ts'

const CONTENT = Uint8Array.from({ length: 1000 }, (_, at) => at * 3)

function shardWithPieces(): Shard {
  const shard = new Shard()
  for (let at = 0; at < 5; at++) {
    const uploading = command(QUEUE_COMMAND.upload, (writer) => {
      encodePieceName(writer, QUEUE, 1 + (at % 2), at * 200)
      writer.blob(CONTENT.subarray(at * 200, at * 200 + 1 + at * 40))
    })
    apply(shard, 1_000_000, uploading)
  }
  return shard
}

function stored(shard: Shard): StoredSnapshot {
  const frozen = shard.freeze()
  const body = Buffer.concat([...frozen.chunks()])
  frozen.release()
  const header = { position: { index: 1, term: 1 }, chain: 0, configuration: new Uint8Array(0) }
  return { header, bytes: body.length, read: (at, length) => body.subarray(at, at + length), close: () => undefined }
}

test('a snapshot with its pieces is the same however it is read, and gives another machine both', () => {
  const shard = shardWithPieces()
  const snapshot = withPieces(stored(shard), shard)
  const wholes: Buffer[] = []
  for (const step of [1, 7, 100, 1_000_000]) {
    const parts: Uint8Array[] = []
    for (let at = 0; at < snapshot.bytes; ) {
      const part = snapshot.read(at, step)
      parts.push(part.slice())
      expect(part.length).toBeGreaterThan(0)
      at += part.length
    }
    wholes.push(Buffer.concat(parts))
  }
  const [first] = wholes
  for (const whole of wholes) expect(whole.equals(first ?? Buffer.alloc(0))).toBe(true)
  expect(first?.length).toBe(snapshot.bytes)
  const copy = new Shard()
  copy.restore(first === undefined ? [] : [new Uint8Array(first)])
  expect(copy.digest()).toBe(shard.digest())
  for (const piece of copy.pieces()) expect(copy.readPiece(piece)).toEqual(shard.readPiece(piece))
})
