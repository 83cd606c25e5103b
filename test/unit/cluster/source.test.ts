import { describe, expect, test } from 'vitest'
import { ByteReader } from '../../../src/base/bytes.ts'
import { Source } from '../../../src/cluster/source.ts'
import { REPLY, type Reply, readReply } from '../../../src/wire/request.ts'

const MEBIBYTE = 1024 * 1024

/** A source whose other side takes so many bytes. */
function sourceWith(room: number): { readonly source: Source; readonly frames: Uint8Array[] } {
  const frames: Uint8Array[] = []
  let left = room
  const send = (frame: Uint8Array): boolean => {
    if (frame.length > left) return false
    left -= frame.length
    frames.push(frame)
    return true
  }
  return { source: new Source(false, send, []), frames }
}

function repliesOf(frames: readonly Uint8Array[]): Reply[] {
  const replies: Reply[] = []
  for (const frame of frames) {
    const reader = new ByteReader(frame, 1)
    while (reader.remaining > 0) replies.push(readReply(reader))
  }
  return replies
}

describe('the replies of a turn', () => {
  test('leave in frames that no channel finds too long, in their order', () => {
    const { source, frames } = sourceWith(Number.POSITIVE_INFINITY)
    for (let id = 1; id <= 40; id++) source.reply(id, REPLY.answered, new Uint8Array(MEBIBYTE).fill(id))
    expect(source.flush()).toBe(true)
    expect(Math.max(...frames.map(({ length }) => length))).toBeLessThan(3 * MEBIBYTE)
    const replies = repliesOf(frames)
    expect(replies.map(({ id, bytes }) => [id, bytes[0], bytes.length])).toEqual(
      Array.from({ length: 40 }, (_, at) => [at + 1, at + 1, MEBIBYTE]),
    )
  })

  test('for which there is no room are to be asked for again, when they are long answers to queries', () => {
    const { source, frames } = sourceWith(16 * MEBIBYTE)
    for (let id = 1; id <= 40; id++) source.reply(id, REPLY.answered, new Uint8Array(id % 2 === 0 ? 11 : MEBIBYTE))
    expect(source.flush()).toBe(true)
    const replies = repliesOf(frames)
    expect(replies.map(({ id }) => id)).toEqual(Array.from({ length: 40 }, (_, at) => at + 1))
    expect(replies.filter(({ id, status }) => id % 2 === 0 && status !== REPLY.answered)).toEqual([])
    const long = replies.filter(({ id }) => id % 2 === 1)
    const answered = long.filter(({ status, bytes }) => status === REPLY.answered && bytes.length === MEBIBYTE)
    expect(answered.length).toBeGreaterThan(12)
    expect(long.filter(({ status }) => status === REPLY.leaderLost)).toHaveLength(20 - answered.length)
  })

  test('of which even the short ones are not taken cut their source off', () => {
    const { source } = sourceWith(100)
    for (let id = 1; id <= 40; id++) source.reply(id, REPLY.answered, new Uint8Array(11))
    expect(source.flush()).toBe(false)
  })
})
