import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { COMMAND, decodeCommandReply } from '../../../../src/machine/command.ts'
import { MemoryPieces, type Piece } from '../../../../src/machine/pieces.ts'
import { QUEUE_COMMAND, QUEUE_QUERY } from '../../../../src/machine/queue/command.ts'
import { encodeContent, encodeLargeHead, encodePieceName } from '../../../../src/machine/queue/encode.ts'
import { UPLOAD_KEEP } from '../../../../src/machine/queue/uploads.ts'
import { Shard } from '../../../../src/machine/shard.ts'
import { encodePiece } from '../../../../src/machine/snapshot.ts'
import { encodeTransaction } from '../../../../src/machine/transaction.ts'
import { anyone, apply, bytes } from '../operations.ts'
import {
  acknowledging,
  type Content,
  command,
  configuring,
  House,
  outgoing,
  purging,
  QUEUE,
  redriving,
  rejecting,
  removing,
  sending,
} from './operations.ts'

const PIECE = 10
const UPLOAD = 77

const uploading = (offset: number, content: Uint8Array, upload = UPLOAD) =>
  command(QUEUE_COMMAND.upload, (writer) => {
    encodePieceName(writer, QUEUE, upload, offset)
    writer.blob(content)
  })
const sendingLarge = (length: number, content: Content = {}, upload = UPLOAD) =>
  command(QUEUE_COMMAND.sendLarge, (writer) => {
    encodeLargeHead(writer, QUEUE, upload, length)
    encodeContent(writer, outgoing('', content))
  })

function content(length: number, salt = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => at * 7 + salt)
}

function upload(house: House, payload: Uint8Array, id = UPLOAD): void {
  for (let at = 0; at < payload.length; at += PIECE) house.ok(uploading(at, payload.subarray(at, at + PIECE), id))
}

/** What a consumer would fetch; undefined when a piece is missing. */
function fetched(shard: Shard, length: number, id = UPLOAD): Uint8Array | undefined {
  const payload = new Uint8Array(length)
  for (let at = 0; at < length; at += PIECE) {
    const answer = shard.query(
      bytes((writer) => {
        writer.u8(QUEUE_QUERY.piece)
        encodePieceName(writer, QUEUE, id, at)
      }),
    )
    if (decodeCommandReply(answer).status !== 'ok') return undefined
    payload.set(answer.subarray(9), at)
  }
  return payload
}

const piecesOf = (house: House): readonly Piece[] => [...house.shard.pieces()]

describe('a large payload', () => {
  test('is there for its consumer once all its pieces are, in whatever order and however often they came', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.array(fc.nat(5), { maxLength: 12 }), (length, before) => {
        const house = new House()
        const payload = content(length)
        const places = Array.from({ length: Math.ceil(length / PIECE) }, (_, at) => at * PIECE)
        const order = [...before.map((at) => places[at % places.length] ?? 0), ...places.reverse()]
        for (const at of order) house.ok(uploading(at, payload.subarray(at, at + PIECE)))
        const id = house.ok(sendingLarge(length))
        expect(house.hold()?.id).toBe(id)
        expect(fetched(house.shard, length)).toEqual(payload)
      }),
    )
  })

  test('is no message while a piece is missing, or when it is not as long as it is said to be', () => {
    const house = new House()
    house.ok(uploading(0, content(PIECE)))
    house.ok(uploading(2 * PIECE, content(PIECE)))
    for (const length of [3 * PIECE, 2 * PIECE, PIECE + 1, 0]) {
      expect(house.do(sendingLarge(length))).toMatchObject([{ status: 'conflict' }])
    }
    expect(house.hold()).toBeUndefined()
    const parts = [{ kind: QUEUE_COMMAND.sendLarge, encode: bodyOf(sendingLarge(3 * PIECE)) }]
    const transaction = bytes((writer) => encodeTransaction(writer, anyone, parts))
    expect(transaction[0]).toBe(COMMAND.transaction)
    expect(house.do(transaction)).toMatchObject([{ status: 'conflict' }])
  })

  test('goes with its message, whichever way that ends', () => {
    const endings: readonly ((house: House, id: number) => void)[] = [
      (house, id) => house.ok(acknowledging(id)),
      (house, id) => house.ok(removing(id)),
      (house) => house.ok(purging('all')),
      (house, id) => {
        house.ok(rejecting(id))
        house.ok(purging('dead'))
      },
      (house, id) => {
        house.ok(configuring({ deadKeepMs: 1000 }))
        house.ok(rejecting(id))
        house.pass(1001)
      },
    ]
    for (const end of endings) {
      const house = new House()
      const store = new MemoryPieces()
      house.shard = new Shard(undefined, undefined, store)
      upload(house, content(25))
      const id = house.ok(sendingLarge(25))
      const pieces = piecesOf(house)
      expect(pieces.map((piece) => store.get(piece)?.length)).toEqual([PIECE, PIECE, 5])
      end(house, id)
      expect([piecesOf(house), fetched(house.shard, 25)]).toEqual([[], undefined])
      expect(pieces.map((piece) => store.get(piece))).toEqual([undefined, undefined, undefined])
    }
  })

  test('stays with a dead letter, and is there when that comes back', () => {
    const house = new House()
    upload(house, content(25))
    const id = house.ok(sendingLarge(25))
    house.ok(rejecting(id))
    expect(fetched(house.shard, 25)).toEqual(content(25))
    house.ok(redriving())
    expect(house.hold()?.id).toBe(id)
    house.ok(acknowledging(id))
    expect(piecesOf(house)).toEqual([])
  })

  test('that no message refers to is gone after ten minutes without a piece, not before', () => {
    const house = new House()
    const keepMs = UPLOAD_KEEP / 1000
    house.ok(uploading(0, content(PIECE)))
    house.pass(keepMs - 1)
    house.ok(uploading(PIECE, content(PIECE)))
    expect(house.shard.dueAt).toBe((house.ms + keepMs) * 1000)
    house.pass(keepMs - 1)
    expect(piecesOf(house)).toHaveLength(2)
    house.pass(1)
    expect(piecesOf(house)).toEqual([])
    expect(house.shard.dueAt).toBe(Number.POSITIVE_INFINITY)
  })

  test('with a message lasts for as long as that', () => {
    const house = new House()
    upload(house, content(25))
    house.ok(sendingLarge(25))
    house.pass((100 * UPLOAD_KEEP) / 1000)
    expect(fetched(house.shard, 25)).toEqual(content(25))
  })

  test('of a message that was sent before is let go of; of one that finds no room it waits on', () => {
    const house = new House()
    house.ok(configuring({ limit: 1 }))
    upload(house, content(25), 1)
    house.ok(sendingLarge(25, { deduplication: 'd', windowMs: 60_000 }, 1))
    upload(house, content(25), 2)
    expect(house.do(sendingLarge(25, { deduplication: 'd', windowMs: 60_000 }, 2))).toMatchObject([
      { status: 'duplicate' },
    ])
    expect(new Set(piecesOf(house).map(({ upload: id }) => id))).toEqual(new Set([1]))
    upload(house, content(25), 3)
    expect(house.do(sendingLarge(25, {}, 3))).toMatchObject([{ status: 'full' }])
    expect(fetched(house.shard, 25, 3)).toEqual(content(25))
  })

  test('that replaces another is delivered in its place', () => {
    const house = new House()
    upload(house, content(25), 1)
    house.ok(sendingLarge(25, { deduplication: 'd', windowMs: 60_000 }, 1))
    upload(house, content(35, 1), 2)
    house.do(sendingLarge(35, { deduplication: 'd', windowMs: 60_000, mode: 'replace' }, 2))
    expect(piecesOf(house)).toHaveLength(4)
    expect(fetched(house.shard, 35, 2)).toEqual(content(35, 1))
    expect(house.do(sendingLarge(35, { deduplication: 'd', mode: 'requeue' }, 2))).toMatchObject([
      { status: 'malformed' },
    ])
  })

  test('is refused when too many wait for their messages', () => {
    const house = new House()
    for (let id = 1; id <= 1024; id++) house.ok(uploading(0, content(1), id))
    expect(house.do(uploading(0, content(1), 1025))).toMatchObject([{ status: 'full' }])
    expect(house.do(uploading(1, content(1), 1))).toMatchObject([{ status: 'ok' }])
  })
})

describe('a snapshot', () => {
  function populated(): House {
    const house = new House()
    house.send('small', { key: 'k' })
    upload(house, content(25), 1)
    house.ok(sendingLarge(25, { key: 'k' }, 1))
    upload(house, content(45), 2)
    house.ok(rejecting(house.ok(sendingLarge(45, {}, 2))))
    house.ok(uploading(0, content(PIECE), 3))
    return house
  }

  function restored(chunks: Iterable<Uint8Array>, pieces = new MemoryPieces()): House {
    const house = new House()
    house.shard = new Shard(undefined, undefined, pieces)
    house.shard.restore(chunks)
    house.ms = 1000
    return house
  }

  function snapshotOf({ shard }: House): Uint8Array[] {
    const frozen = shard.freeze()
    const chunks = [...frozen.chunks()]
    frozen.release()
    return chunks
  }

  test('knows the payloads, which are in it when their pieces follow it', () => {
    const house = populated()
    const pieces = piecesOf(house).map((piece) => encodePiece(piece, house.shard.readPiece(piece)))
    const copy = restored([...snapshotOf(house), ...pieces])
    expect([copy.shard.digest(), piecesOf(copy)]).toEqual([house.shard.digest(), piecesOf(house)])
    for (const [id, length] of [
      [1, 25],
      [2, 45],
      [3, PIECE],
    ] as const) {
      expect(fetched(copy.shard, length, id)).toEqual(content(length))
    }
    const ends = [acknowledging(piecesOf(house).length), purging('all')]
    apply(house.shard, 2_000_000, ...ends)
    apply(copy.shard, 2_000_000, ...ends)
    expect([copy.shard.digest(), piecesOf(copy)]).toEqual([house.shard.digest(), piecesOf(house)])
    copy.pass(UPLOAD_KEEP / 1000 + 2000)
    expect(piecesOf(copy)).toEqual([])
  })

  test('may lack what a later entry deletes, and its state is the same after that entry', () => {
    const house = populated()
    const snapshot = snapshotOf(house)
    const known = piecesOf(house)
    const later = [purging('dead'), sending('more')]
    apply(house.shard, 2_000_000, ...later)
    const pieces = known.map((piece) => encodePiece(piece, house.shard.readPiece(piece)))
    const copy = restored([...snapshot, ...pieces])
    expect(fetched(copy.shard, 45, 2)).toBeUndefined()
    apply(copy.shard, 2_000_000, ...later)
    expect(copy.shard.digest()).toBe(house.shard.digest())
    for (const piece of copy.shard.pieces()) expect(copy.shard.readPiece(piece)).toBeDefined()
  })

  test('drops what its state does not have from a store that was used before', () => {
    const pieces = new MemoryPieces()
    pieces.put(99, 0, content(5))
    const crc = pieces.put(1, 0, content(PIECE))
    restored(snapshotOf(populated()), pieces)
    expect(pieces.get({ upload: 99, offset: 0, length: 5, crc: 0 })).toBeUndefined()
    expect(pieces.get({ upload: 1, offset: 0, length: PIECE, crc })).toBeDefined()
  })

  test('is refused when a piece behind it is damaged', () => {
    const house = populated()
    const [piece] = piecesOf(house)
    if (piece === undefined) throw new Error('there is a piece')
    const frame = encodePiece(piece, house.shard.readPiece(piece))
    frame[frame.length - 1] = (frame.at(-1) ?? 0) ^ 1
    expect(() => restored([...snapshotOf(house), frame])).toThrow('a piece of a payload differs')
  })
})

/** `[kind u8, session u53, sequence u53, acknowledged u53]` comes before it. */
function bodyOf(whole: Uint8Array): (writer: { raw(bytes: Uint8Array): void }) => void {
  return (writer) => writer.raw(whole.subarray(25))
}
