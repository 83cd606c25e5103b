import { describe, expect, test } from 'vitest'
import type { TroupeError } from '../../../../src/base/error.ts'
import { OPERATION } from '../../../../src/wire/request.ts'
import { text, World } from './world.ts'

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: TroupeError) => error.code ?? error.message,
  )

const rejectionOf = (promise: Promise<unknown>): Promise<TroupeError> =>
  promise.then(
    () => {
      throw new Error('resolved')
    },
    (error: TroupeError) => error,
  )

describe('a call', () => {
  test('is answered by the engine, with a receipt', async () => {
    const world = new World()
    const { keyValue } = world.driver()
    const { revision, receipt } = await world.time.until(keyValue.set('m', 'a', text('1'), {}))
    expect(receipt).toMatchObject({ guarantee: 'linearizable', ageMs: 0, durability: 'memory' })
    const found = await world.time.until(keyValue.get('m', 'a', {}))
    expect(found).toMatchObject({ value: text('1'), revision, receipt })
    expect(await world.time.until(keyValue.delete('m', 'a', {}))).toMatchObject({ existed: true })
    expect(await world.time.until(keyValue.get('m', 'a', {}))).toMatchObject({ value: undefined })
  })

  test('shows the age of a local answer', async () => {
    const world = new World()
    const found = await world.time.until(world.driver().keyValue.get('m', 'a', { read: 'local' }))
    expect(found.receipt).toMatchObject({ guarantee: 'local', ageMs: 7 })
  })

  test('of the same turn shares its frame', async () => {
    const world = new World()
    const { keyValue } = world.driver()
    await world.time.until(keyValue.get('m', 'a', {}))
    const peer = world.engines[0]?.channels[0]?.peer
    const before = peer?.frames ?? 0
    await world.time.until(
      Promise.all(Array.from({ length: 100 }, (_, at) => keyValue.set('m', `${at}`, text(''), {}))),
    )
    expect((peer?.frames ?? 0) - before).toBe(1)
  })

  test('that writes is waited for by whoever wants all to be settled, and one that reads is not', async () => {
    const world = new World()
    const driver = world.driver()
    await world.time.until(driver.keyValue.get('m', 'a', {}))
    await world.time.until(driver.settled?.() ?? Promise.reject(new Error('the driver has writes')))
    world.conduct = (_, { operation }) => (operation === OPERATION.query ? 'ignore' : 'answer')
    const read = codeOf(driver.keyValue.get('m', 'a', { timeout: 1000 }))
    const ends: string[] = []
    const writes = ['a', 'b'].map((key) => driver.keyValue.set('m', key, text('1'), {}).then(() => ends.push(key)))
    await world.time.until((driver.settled?.() ?? Promise.resolve()).then(() => ends.push('settled')))
    expect(ends).toEqual(['a', 'b', 'settled'])
    await Promise.all(writes)
    expect(await world.time.until(read)).toBe('TIMEOUT')
  })

  test('that breaks its condition rejects with the present revision', async () => {
    const world = new World()
    const { keyValue } = world.driver()
    const { revision } = await world.time.until(keyValue.set('m', 'a', text('1'), {}))
    const error = await world.time.until(rejectionOf(keyValue.set('m', 'a', text('2'), { ifRevision: 0n })))
    expect(error).toMatchObject({ code: 'CONFLICT', details: { revision } })
    expect(await world.time.until(codeOf(keyValue.delete('m', 'a', { ifRevision: -1n })))).toBe('CONFLICT')
  })

  test('that was refused for good rejects with the refusal', async () => {
    const world = new World()
    world.conduct = () => 'refuse'
    expect(await world.time.until(codeOf(world.driver().keyValue.set('m', 'a', text('1'), {})))).toBe('OVERLOADED')
  })

  test('with a timeout that is no duration, or about a group that is none, is an INVALID_ARGUMENT', async () => {
    const world = new World()
    const driver = world.driver()
    expect(await world.time.until(codeOf(driver.keyValue.get('m', 'a', { timeout: -1 })))).toBe('INVALID_ARGUMENT')
    const timeout = Number.NaN
    expect(await world.time.until(codeOf(driver.keyValue.get('m', 'a', { timeout })))).toBe('INVALID_ARGUMENT')
    expect(await world.time.until(codeOf(driver.outcome('99.1.1', {})))).toBe('INVALID_ARGUMENT')
  })

  test('beyond the limit is refused at once', async () => {
    const world = new World()
    const { keyValue } = world.driver()
    const megabyte = new Uint8Array(1024 * 1024 - 1024)
    const calls = Array.from({ length: 65 }, (_, at) => codeOf(keyValue.set('m', `${at}`, megabyte, {})))
    const ends = await world.time.until(Promise.all(calls))
    expect(ends.filter((end) => end === 'resolved').length).toBeGreaterThan(60)
    expect(ends.at(-1)).toBe('OVERLOADED')
    expect(await world.time.until(codeOf(keyValue.set('m', 'later', megabyte, {})))).toBe('resolved')
  })

  test('waits while the channel has no room, and for no longer', async () => {
    const world = new World()
    const { keyValue } = world.driver()
    await world.time.until(keyValue.get('m', 'a', {}))
    const peer = world.engines[0]?.channels[0]?.peer
    if (peer === undefined) throw new Error('no channel')
    peer.isFull = true
    const calls = [codeOf(keyValue.set('m', 'a', text('1'), {})), codeOf(keyValue.set('m', 'b', text('1'), {}))]
    await world.time.advance(100)
    calls.push(codeOf(keyValue.set('m', 'c', text('1'), {})))
    await world.time.advance(100)
    expect(world.executed).toBe(0)
    peer.isFull = false
    expect(await world.time.until(Promise.all(calls))).toEqual(['resolved', 'resolved', 'resolved'])
    expect(world.executed).toBe(3)
  })
})

describe('a write that is sent again', () => {
  test('happens once, however many replies are lost (RAFT-M7)', async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const world = new World({ seed, shards: 1 })
      const { keyValue } = world.driver()
      const execute = world.execute.bind(world)
      // One reply in ten is lost after the command was executed.
      world.conduct = (_, { operation }) => {
        if (operation !== 1 || world.random.next() >= 0.1) return 'answer'
        return world.random.next() < 0.5 ? 'leader-lost' : 'execute-silently'
      }
      let lost = 0
      world.execute = (group, command) => {
        const answer = execute(group, command)
        if (world.random.next() < 0.05) {
          lost++
          world.engines[0]?.cut()
        }
        return answer
      }
      const counters = 8
      const rounds = 25
      const increment = async (): Promise<void> => {
        for (let round = 0; round < rounds; ) {
          const found = await keyValue.get('m', 'n', {})
          const count = found.value === undefined ? 0 : Number(new TextDecoder().decode(found.value))
          const ifRevision = found.value === undefined ? 0n : found.revision
          const end = await codeOf(keyValue.set('m', 'n', text(`${count + 1}`), { ifRevision, timeout: 50_000 }))
          if (end === 'resolved') round++
          else if (end !== 'CONFLICT') throw new Error(end)
        }
      }
      const cutter = world.time
      const all = Promise.all(Array.from({ length: counters }, increment))
      let isDone = false
      all.then(
        () => (isDone = true),
        () => (isDone = true),
      )
      // A silent execution is only noticed when the connection goes.
      while (!isDone) {
        await cutter.advance(100)
        world.engines[0]?.cut()
      }
      await all
      const final = await world.time.until(keyValue.get('m', 'n', {}))
      expect(new TextDecoder().decode(final.value)).toBe(`${counters * rounds}`)
      expect(lost).toBeGreaterThan(0)
    }
  })

  test('goes to the new leader when the old one has gone silent', async () => {
    const world = new World({ nodes: 3, direct: true })
    const { keyValue } = world.driver()
    await world.time.until(keyValue.set('m', 'a', text('0'), {}))
    await world.time.advance(100)
    world.leaders = world.leaders.map(() => 'n1')
    world.elect('n1')
    world.conduct = (engine) => (engine.node === 'n1' ? 'ignore' : 'answer')
    const call = codeOf(keyValue.set('m', 'a', text('1'), {}))
    await world.time.advance(500)
    world.elect('n2', ['n1'])
    const before = world.time.now()
    expect(await world.time.until(call)).toBe('resolved')
    expect(world.time.now() - before).toBeLessThan(10)
  })

  test('avoids a node that hangs, once the others know a new leader', async () => {
    const world = new World({ nodes: 3, direct: true, shards: 6 })
    const { keyValue } = world.driver()
    const keys = Array.from({ length: 60 }, (_, at) => `key-${at}`)
    const writeAll = () => Promise.all(keys.map((key) => codeOf(keyValue.set('m', key, text('0'), {}))))
    await world.time.until(writeAll())
    world.conduct = (engine) => (engine.node === 'n1' ? 'ignore' : 'answer')
    const stuck = writeAll()
    await world.time.advance(700)
    world.elect('n3', ['n1'])
    const before = world.time.now()
    expect(new Set(await world.time.until(stuck))).toEqual(new Set(['resolved']))
    expect(new Set(await world.time.until(writeAll()))).toEqual(new Set(['resolved']))
    expect(world.time.now() - before).toBeLessThan(50)
  })

  test('survives the death of the leader', async () => {
    const world = new World({ nodes: 3, direct: true })
    const { keyValue } = world.driver()
    const keys = Array.from({ length: 40 }, (_, at) => `key-${at}`)
    await world.time.until(Promise.all(keys.map((key) => keyValue.set('m', key, text('0'), {}))))
    world.conduct = (engine) => (engine.node === 'n1' ? 'execute-silently' : 'answer')
    const calls = keys.map((key) => codeOf(keyValue.set('m', key, text('1'), { ifRevision: 0n })))
    const settled = keys.map((key) => codeOf(keyValue.set('m', key, text('1'), {})))
    await world.time.settle()
    world.engines[0]?.crash()
    await world.time.advance(300)
    world.elect('n2', ['n1'])
    expect(new Set(await world.time.until(Promise.all(calls)))).toEqual(new Set(['CONFLICT']))
    expect(new Set(await world.time.until(Promise.all(settled)))).toEqual(new Set(['resolved']))
  })

  test('is not sent again in a session that the machine has forgotten, and says so', async () => {
    const world = new World({ shards: 1 })
    const { keyValue } = world.driver()
    await world.time.until(keyValue.set('m', 'a', text('0'), {}))
    world.conduct = () => 'execute-silently'
    const call = codeOf(keyValue.set('m', 'a', text('1'), {}))
    await world.time.settle()
    // Nothing of the session is left in this machine.
    world.shards[0]?.restore(new World({ shards: 1 }).shards[0]?.freeze().chunks() ?? [])
    world.conduct = () => 'answer'
    world.engines[0]?.cut()
    expect(await world.time.until(call)).toBe('OUTCOME_UNKNOWN')
    expect(await world.time.until(codeOf(keyValue.set('m', 'a', text('2'), {})))).toBe('resolved')
  })

  test('begins a new session when the machine has forgotten the old one and no copy was taken', async () => {
    const world = new World({ shards: 1 })
    const { keyValue } = world.driver()
    await world.time.until(keyValue.set('m', 'a', text('0'), {}))
    world.shards[0]?.restore(new World({ shards: 1 }).shards[0]?.freeze().chunks() ?? [])
    expect(await world.time.until(codeOf(keyValue.set('m', 'a', text('2'), {})))).toBe('resolved')
  })
})

describe('a write that nobody answers', () => {
  test('does not hold up thousands of later ones, and still happens once', async () => {
    const world = new World({ shards: 1 })
    const { keyValue } = world.driver()
    await world.time.until(keyValue.set('m', 'n', text('0'), {}))
    world.conduct = () => 'execute-silently'
    const straggler = keyValue.set('m', 'n', text('1'), { timeout: 60_000 })
    await world.time.settle()
    const executed = world.executed
    world.conduct = () => 'answer'
    const write = (at: number) => codeOf(keyValue.set('m', `${at}`, text('2'), {}))
    for (let round = 0; round < 10; round++) {
      const ends = await world.time.until(Promise.all(Array.from({ length: 1000 }, (_, at) => write(at))))
      expect(new Set(ends)).toEqual(new Set(['resolved']))
    }
    const later = await world.time.until(keyValue.set('m', 'other', text('3'), {}))
    world.engines[0]?.cut()
    expect((await world.time.until(straggler)).revision).toBeLessThan(later.revision)
    expect(world.executed - executed).toBe(10_002)
  })
})

describe('a call whose time is over', () => {
  test('says NO_QUORUM and names the shard when nobody led it', async () => {
    const world = new World({ shards: 1 })
    world.conduct = () => 'not-leader'
    const { keyValue } = world.driver()
    const error = await world.time.until(rejectionOf(keyValue.set('m', 'a', text('1'), { timeout: 1000 })))
    expect(error).toMatchObject({ code: 'NO_QUORUM', details: { shard: 0 } })
    expect(error.message).toContain('shard 0')
    expect(world.time.now()).toBeLessThan(1010)
    expect(await world.time.until(codeOf(keyValue.get('m', 'a', { timeout: 1000 })))).toBe('NO_QUORUM')
  })

  test('says UNREACHABLE and where it was tried when no engine could be connected', async () => {
    const world = new World({ nodes: 2, direct: true })
    for (const engine of world.engines) engine.crash()
    const error = await world.time.until(rejectionOf(world.driver().keyValue.get('m', 'a', {})))
    expect(error).toMatchObject({ code: 'UNREACHABLE', details: { addresses: ['n1.test:1', 'n2.test:1'] } })
  })

  test('says TIMEOUT for a read that was not answered', async () => {
    const world = new World()
    world.conduct = () => 'ignore'
    expect(await world.time.until(codeOf(world.driver().keyValue.get('m', 'a', { timeout: 20 })))).toBe('TIMEOUT')
  })

  test('says OUTCOME_UNKNOWN for a write that was sent, and the truth can be asked for', async () => {
    const world = new World({ shards: 1 })
    const driver = world.driver()
    await world.time.until(driver.keyValue.set('m', 'a', text('0'), {}))
    for (const conduct of ['execute-silently', 'ignore', 'leader-lost'] as const) {
      world.conduct = () => conduct
      const error = await world.time.until(rejectionOf(driver.keyValue.set('m', 'a', text(conduct), { timeout: 50 })))
      expect(error.code).toBe('OUTCOME_UNKNOWN')
      world.conduct = () => 'answer'
      const outcome = await world.time.until(driver.outcome(String(error.details.operationId), {}))
      expect(outcome).toBe(conduct === 'execute-silently' ? 'committed' : 'not-committed')
      expect(await world.time.until(codeOf(driver.keyValue.set('m', 'a', text('next'), {})))).toBe('resolved')
    }
  })

  test('waits for a cluster that is not formed, and then says that there is none', async () => {
    const world = new World()
    world.epoch = 0
    const { keyValue } = world.driver()
    // Who asks before a node has said so, and who asks after it.
    for (let asked = 0; asked < 2; asked++) {
      expect(await world.time.until(codeOf(keyValue.get('m', 'a', { timeout: 100 })))).toBe('NO_QUORUM')
    }
    const call = keyValue.set('m', 'a', text('1'), {})
    await world.time.advance(100)
    world.epoch = 1
    world.engines[0]?.publish()
    await world.time.until(call)
  })

  test('leaves nothing behind that would grow', async () => {
    const world = new World({ nodes: 1, direct: true })
    world.engines[0]?.crash()
    const { keyValue } = world.driver()
    const calls = Array.from({ length: 70_000 }, () => codeOf(keyValue.get('m', 'a', { timeout: 10 })))
    const ends = await world.time.until(Promise.all(calls))
    expect(new Set(ends)).toEqual(new Set(['UNREACHABLE', 'OVERLOADED']))
    for (const engine of world.engines) engine.isUp = true
    expect(await world.time.until(codeOf(keyValue.get('m', 'a', {})))).toBe('resolved')
  })
})

describe('a call whose signal aborts', () => {
  test('before it was sent rejects with the reason and does nothing', async () => {
    const world = new World()
    const reason = new Error('no')
    const signal = AbortSignal.abort(reason)
    expect(await world.time.until(rejectionOf(world.driver().keyValue.set('m', 'a', text('1'), { signal })))).toBe(
      reason,
    )
    expect(world.executed).toBe(0)
  })

  test('while nobody has taken it rejects with the reason', async () => {
    const world = new World()
    world.conduct = () => 'not-leader'
    const controller = new AbortController()
    const call = rejectionOf(world.driver().keyValue.set('m', 'a', text('1'), { signal: controller.signal }))
    await world.time.advance(15)
    controller.abort(new Error('no'))
    expect((await world.time.until(call)).message).toBe('no')
  })

  test('after it was sent has an unknown outcome if it is a write, with the reason as cause', async () => {
    const world = new World()
    world.conduct = () => 'ignore'
    const { keyValue } = world.driver()
    const controller = new AbortController()
    const reason = new Error('no')
    const write = rejectionOf(keyValue.set('m', 'a', text('1'), { signal: controller.signal }))
    const read = rejectionOf(keyValue.get('m', 'a', { signal: controller.signal }))
    await world.time.advance(15)
    controller.abort(reason)
    expect(await world.time.until(write)).toMatchObject({ code: 'OUTCOME_UNKNOWN', cause: reason })
    expect(await world.time.until(read)).toBe(reason)
  })
})

describe('a closed driver', () => {
  test('ends what is under way and refuses what comes', async () => {
    const world = new World()
    world.conduct = () => 'ignore'
    const driver = world.driver()
    const write = codeOf(driver.keyValue.set('m', 'a', text('1'), {}))
    const read = codeOf(driver.keyValue.get('m', 'a', {}))
    await world.time.advance(15)
    const waiting = codeOf(driver.keyValue.get('m', 'b', {}))
    await driver.close()
    expect(await write).toBe('OUTCOME_UNKNOWN')
    expect(await read).toBe('CLOSED')
    expect(await waiting).toBe('CLOSED')
    expect(await codeOf(driver.keyValue.get('m', 'a', {}))).toBe('CLOSED')
    await driver.close()
    await world.time.settle()
    expect(world.engines[0]?.channels).toEqual([])
  })
})

describe('bytes that no engine would send', () => {
  test('close the channel and cost no call its answer', async () => {
    const world = new World({ shards: 1, seed: 3 })
    const { keyValue } = world.driver()
    await world.time.until(keyValue.set('m', 'a', text('0'), {}))
    for (let round = 0; round < 200; round++) {
      const engine = world.engines[0]
      const hostile = Uint8Array.from({ length: 1 + world.random.below(40) }, () => world.random.below(256))
      // Half of them begin like replies, to requests that are under way.
      if (round % 2 === 0) hostile.set([2, world.random.below(20), 0, 0, 0, round & 255].slice(0, hostile.length))
      const call = codeOf(keyValue.set('m', `${round}`, text('1'), {}))
      engine?.channels[0]?.send(hostile)
      expect(await world.time.until(call)).toBe('resolved')
    }
    const scanned = []
    const entries = keyValue.scan('m', { from: '', until: '' }, { reverse: false, limit: 1000 })
    const scan = async (): Promise<void> => {
      for await (const { key } of entries) scanned.push(key)
    }
    await world.time.until(scan())
    expect(scanned.length).toBe(201)
  })
})

describe('status', () => {
  test('is answered by any node', async () => {
    const world = new World()
    world.epoch = 0
    expect(await world.time.until(world.driver().status({}))).toMatchObject({
      cluster: 'test',
      answeredBy: 'n1',
      level: 2,
      mendedPieces: 0,
    })
  })
})
