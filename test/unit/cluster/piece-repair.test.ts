import { beforeEach, describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../src/base/bytes.ts'
import { crc32 } from '../../../src/base/crc.ts'
import type { NodeId } from '../../../src/base/identity.ts'
import { PieceRepair, type Question } from '../../../src/cluster/piece-repair.ts'
import { STATUS } from '../../../src/machine/command.ts'
import type { Piece } from '../../../src/machine/pieces.ts'
import { Computer } from '../../../src/simulation/world/computer.ts'
import { EventQueue } from '../../../src/simulation/world/event-queue.ts'
import { REPLY } from '../../../src/wire/request.ts'

const CONTENT = Uint8Array.of(1, 2, 3)
const PIECE: Piece = { upload: 7, offset: 0, length: 3, crc: crc32(CONTENT) }
const QUERY = Uint8Array.of(9)

let queue: EventQueue
let asked: { readonly to: NodeId; readonly question: Question }[]
let stored: Uint8Array[]
let mendedFrom: NodeId[]
let repair: PieceRepair

beforeEach(() => {
  queue = new EventQueue()
  const computer = new Computer(queue, 'n1')
  asked = []
  stored = []
  mendedFrom = []
  repair = new PieceRepair({
    clock: computer,
    scheduler: computer,
    machine: {
      mendPiece: (piece, bytes) => {
        if (crc32(bytes) !== piece.crc) return false
        stored.push(bytes.slice())
        return true
      },
    },
    peers: () => ['n2', 'n3'] as NodeId[],
    ask: (to, question) => asked.push({ to, question }),
    mended: (from) => mendedFrom.push(from),
  })
})

function answer(at: number, bytes: Uint8Array | undefined): void {
  const writer = new ByteWriter()
  writer.f64(3)
  writer.u8(bytes === undefined ? STATUS.absent : STATUS.ok)
  writer.u53(0)
  if (bytes !== undefined) writer.raw(bytes)
  const question = asked[at]?.question
  question?.target.reply(question.id, REPLY.answered, writer.take())
}

/** How often the readers of the piece have been called. */
function reading(readers = 1): () => number {
  let calls = 0
  for (let at = 0; at < readers; at++) {
    repair.mend(PIECE, QUERY, () => {
      calls++
    })
  }
  return () => calls
}

describe('a damaged piece', () => {
  test('comes from a peer that has it, once for all who wait for it', () => {
    const done = reading(3)
    expect(asked.map(({ to, question }) => [to, question.query])).toEqual([['n2', QUERY]])
    expect(done()).toBe(0)
    answer(0, CONTENT)
    expect([done(), mendedFrom, stored]).toEqual([3, ['n2'], [CONTENT]])
    // It is over: what comes now is a new search.
    answer(0, CONTENT)
    reading()
    expect([done(), asked.length]).toEqual([3, 2])
  })

  test('is asked of the next peer when one lacks it, or has other bytes', () => {
    const done = reading()
    answer(0, undefined)
    answer(1, CONTENT)
    expect([done(), mendedFrom]).toEqual([1, ['n3']])
    reading()
    answer(2, Uint8Array.of(1, 2, 4))
    answer(3, CONTENT)
    expect([asked.length, mendedFrom]).toEqual([4, ['n3', 'n3']])
  })

  test('is asked of the next peer when one refuses, or does not answer for two seconds', () => {
    const done = reading()
    const [first] = asked
    first?.question.target.reply(first.question.id, REPLY.notLeader, new Uint8Array(0))
    expect(asked.map(({ to }) => to)).toEqual(['n2', 'n3'])
    while (queue.step(1990));
    expect(done()).toBe(0)
    while (queue.step(2010));
    expect(done()).toBe(1)
  })

  test('stays missing when nobody has it', () => {
    const done = reading(2)
    answer(0, undefined)
    answer(1, undefined)
    expect([done(), mendedFrom, stored]).toEqual([2, [], []])
  })
})
