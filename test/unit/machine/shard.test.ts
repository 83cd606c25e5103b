import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BatchWriter } from '../../../src/machine/batch.ts'
import { decodeCommandReply, decodeGetReply, encodeScan, encodeSet } from '../../../src/machine/command.ts'
import { LEVEL } from '../../../src/machine/level.ts'
import { SHARD_LIMITS, Shard } from '../../../src/machine/shard.ts'
import { anyone, apply, batchOf, bytes, deleting, from, resolving, setting } from './operations.ts'

describe('whatever a client sends', () => {
  test('is answered, and does not disturb the commands beside it', () => {
    const valid = [setting('a', 1, from(9, 1)), deleting('a', from(9, 2)), resolving(9, 1)]
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.tuple(fc.constantFrom(...valid), fc.nat(), fc.integer({ min: 0, max: 255 })).map(([command, at, value]) => {
        const damaged = command.slice()
        damaged[at % damaged.length] = value
        return damaged
      }),
    )
    fc.assert(
      fc.property(fc.array(hostile, { maxLength: 5 }), (commands) => {
        const shard = new Shard()
        const replies = apply(shard, 10, ...commands, setting('untouched', 1, from(77, 1)))
        expect(replies).toHaveLength(commands.length + 1)
        expect(replies.at(-1)?.status).toBe('ok')
        const copy = new Shard()
        copy.restore(shard.freeze().chunks())
        expect(copy.digest()).toBe(shard.digest())
      }),
    )
  })

  test('is answered as a query, too', () => {
    const shard = new Shard()
    apply(shard, 1, setting('a', 1))
    const query = bytes((writer) =>
      encodeScan(writer, { map: 'm', from: '', until: '', reverse: false, limit: 1, byteLimit: 1 }),
    )
    fc.assert(
      fc.property(fc.nat(query.length - 1), fc.integer({ min: 0, max: 255 }), fc.nat(5), (at, value, cut) => {
        const damaged = query.slice(0, query.length - cut)
        if (at < damaged.length) damaged[at] = value
        expect(['ok', 'absent', 'malformed', 'unsupported']).toContain(decodeGetReply(shard.query(damaged)).status)
      }),
    )
  })

  test('does not stop an entry whose bytes are damaged', () => {
    const entry = batchOf(10, [setting('a', 1), setting('b', 2)])
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: entry.length - 1 }),
        fc.integer({ min: 0, max: 255 }),
        fc.nat(entry.length),
        (at, value, cut) => {
          const damaged = entry.slice(0, entry.length - cut)
          if (at < damaged.length) damaged[at] = value
          const replies: string[] = []
          new Shard().apply(damaged, (_, reply) => replies.push(decodeCommandReply(reply).status))
          expect(replies.length).toBeLessThanOrEqual(entry.length / 4)
        },
      ),
    )
  })

  test('is unsupported when it is of a kind to come', () => {
    const shard = new Shard()
    const unknown = setting('a', 1)
    unknown[0] = 200
    expect(apply(shard, 1, unknown)).toEqual([{ status: 'unsupported', revision: 0 }])
    expect(decodeGetReply(shard.query(Uint8Array.of(200))).status).toBe('unsupported')
  })

  test('stops a machine whose level is below that of its entry, before anything of it is executed', () => {
    const shard = new Shard({ ...SHARD_LIMITS, level: LEVEL })
    const entry = new BatchWriter()
    entry.add(setting('a', 1))
    const bytes = entry.finish(5, LEVEL + 1)
    const untouched = shard.digest()
    expect(() => shard.apply(bytes, () => expect.unreachable())).toThrow(
      expect.objectContaining({ code: 'VERSION_SKEW', details: { level: LEVEL + 1 } }),
    )
    expect([shard.digest(), shard.time, shard.revision]).toEqual([untouched, 0, 0])
    new Shard({ ...SHARD_LIMITS, level: LEVEL + 1 }).apply(bytes, (_, reply) =>
      expect(decodeCommandReply(reply).status).toBe('ok'),
    )
  })

  test('is malformed when a key or a value is over its limit', () => {
    const shard = new Shard()
    const value = new Uint8Array(1024 * 1024 + 1)
    const tooLarge = bytes((writer) => encodeSet(writer, anyone, { map: 'm', key: 'k', value }))
    expect(apply(shard, 1, setting('k'.repeat(4097), 1), tooLarge, setting('k'.repeat(4096), 1))).toMatchObject([
      { status: 'malformed' },
      { status: 'malformed' },
      { status: 'ok' },
    ])
  })
})

test('replicas that apply the same entries are equal, whichever of them came from a snapshot', () => {
  const command = fc.oneof(
    fc.tuple(
      fc.constantFrom('a', 'b', 'c'),
      fc.nat(9),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 30 }),
    ),
  )
  fc.assert(
    fc.property(fc.array(fc.array(command, { maxLength: 5 }), { maxLength: 20 }), fc.nat(20), (batches, at) => {
      const entries = batches.map((batch, turn) =>
        batchOf(
          turn * 400_000_000,
          batch.map(([key, value, session, sequence]) => setting(key, value, from(session, sequence))),
        ),
      )
      const one = new Shard()
      let other = new Shard()
      entries.forEach((entry, turn) => {
        if (turn === at) {
          const fresh = new Shard()
          fresh.restore(other.freeze().chunks())
          other = fresh
        }
        one.apply(entry, () => undefined)
        other.apply(entry, () => undefined)
        expect(other.digest()).toBe(one.digest())
      })
    }),
  )
})
