import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineMap } from '../../../src/data/map.ts'
import { readSequencer } from '../../../src/data/sequencer.ts'
import { defineTopic } from '../../../src/message/topic.ts'
import { openWorld, settle } from '../message/world.ts'

describe('a lock', () => {
  test('fences the writes of whoever held it before', async () => {
    const { troupe } = openWorld()
    const map = troupe.map(defineMap<string>('m'))
    const old = await troupe.lock('l')
    await map.set('k', 'old', { fence: old })
    await old.release()
    const next = await troupe.lock('l')
    expect(next.token > old.token).toBe(true)
    await expect(map.set('k', 'late', { fence: old })).rejects.toMatchObject({ code: 'FENCED' })
    await expect(map.update('k', () => 'late', { fence: old })).rejects.toMatchObject({ code: 'FENCED' })
    await map.update('k', (value) => `${value}, next`, { fence: next })
    expect((await map.get('k'))?.value).toBe('old, next')
    expect([await troupe.verify(old), await troupe.verify(next)]).toEqual([false, true])
  })

  test('is shared among readers, and refused at once to a writer that does not wait', async () => {
    const { troupe } = openWorld()
    await troupe.lock('l', { shared: true })
    await troupe.lock('l', { shared: true })
    await expect(troupe.lock('l', { wait: false })).rejects.toMatchObject({ code: 'LOCKED' })
  })

  test('is released however its callback ends', async () => {
    const { troupe } = openWorld()
    await expect(troupe.withLock('l', () => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
    expect(await troupe.withLock('l', () => 7, { wait: false })).toBe(7)
  })

  test('beside a key has a name that says so, by which it is observed and verified', async () => {
    const { troupe } = openWorld()
    const accounts = defineMap<number>('accounts', { placement: 'tenant' })
    const place = { map: accounts, key: 'de/ann' }
    const lock = await troupe.lock('billing', { with: place })
    expect(lock.name).toBe('billing@tenant#de/ann')
    const other = await troupe.lock('billing', { with: { map: accounts, key: 'de/bob' }, wait: false })
    expect(await troupe.verify(lock)).toBe(true)
    for await (const { name, holders } of troupe.observe('billing', { with: place })) {
      expect([name, holders.map(({ token }) => token)]).toEqual([lock.name, [lock.token]])
      break
    }
    await troupe.map(accounts).set('de/ann', 1, { fence: lock })
    await expect(troupe.map(accounts).set('de/ann', 2, { fence: { ...other, token: 0n } })).rejects.toMatchObject({
      code: 'FENCED',
    })
    const office = await troupe.campaign('teller', { with: place })
    expect(office.name).toBe('teller@tenant#de/ann')
    await expect(troupe.lock('a@b', { with: place })).rejects.toThrow('@')
    await expect(troupe.lock('a', { with: 'k' as never })).rejects.toThrow('with')
  })

  test('has a sequencer, which says to others what it is', async () => {
    const { troupe } = openWorld()
    const lock = await troupe.lock('Rechnungen über 100 €')
    expect(lock.sequencer).toMatch(/^[!-~]+$/)
    expect(readSequencer(lock.sequencer)).toEqual({ name: lock.name, token: lock.token })
    expect(await troupe.verify(lock.sequencer)).toBe(true)
    await troupe.map(defineMap('m')).set('k', 1, { fence: readSequencer(lock.sequencer) })
    await lock.release()
    expect(await troupe.verify(lock.sequencer)).toBe(false)
    for (const text of [
      '',
      'nightly',
      '7',
      '7.',
      '0.nightly',
      '-1.nightly',
      '7.%',
      'undefined',
      '7.a b',
      '12345678901234567.n',
    ]) {
      expect(() => readSequencer(text)).toThrow('no sequencer')
      await expect(troupe.verify(text)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    }
  })

  test('fences what is published', async () => {
    const { troupe } = openWorld()
    const topic = troupe.topic(defineTopic<number>('t', { partitions: 1 }))
    const old = await troupe.lock('l')
    await old.release()
    await topic.publishAll([1, 2], { fence: await troupe.lock('l') })
    await expect(topic.publish(3, { fence: old })).rejects.toMatchObject({ code: 'FENCED' })
    expect((await topic.publish(4)).offset).toBe(2n)
  })

  test('names what it cannot take', async () => {
    const { troupe } = openWorld()
    await expect(troupe.lock('l', { ttl: 5 })).rejects.toThrow('ttl')
    await expect(troupe.lock('')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(troupe.semaphore('s', 0)).rejects.toThrow('permits')
    await expect(troupe.map(defineMap('m')).set('k', 1, { fence: {} as never })).rejects.toThrow('fence')
  })
})

describe('an office', () => {
  test('goes to the candidate to whom it is handed over, and observers see it', async () => {
    const { troupe } = openWorld()
    const first = await troupe.campaign('o', { candidate: 'ann' })
    const order: string[] = []
    for (const candidate of ['bob', 'cyd']) {
      void troupe.campaign('o', { candidate }).then(async (office) => {
        order.push(candidate)
        await office.resign()
      })
    }
    await settle()
    for await (const { holders, waiting } of troupe.observe('o')) {
      expect([holders.map(({ value }) => value), waiting]).toEqual([['ann'], 2])
      break
    }
    await first.handover('cyd')
    await settle()
    expect(order).toEqual(['cyd', 'bob'])
  })

  test('of a singleton is held by one task at a time, and given up when it returns', async () => {
    const { troupe } = openWorld()
    let running = 0
    const task = async (): Promise<number> => {
      running += 1
      await settle()
      return running--
    }
    expect(await Promise.all([1, 2, 3].map(() => troupe.singleton('s', task)))).toEqual([1, 1, 1])
  })
})

describe('meeting points', () => {
  test('a latch opens after its last step', async () => {
    const { troupe } = openWorld()
    const latch = troupe.latch('l', 2)
    let isOpen = false
    const waiting = latch.wait().then(() => {
      isOpen = true
    })
    expect(await latch.countDown()).toBe(1)
    await settle()
    expect(isOpen).toBe(false)
    await latch.countDown()
    await waiting
  })

  test('a barrier lets its parties go on together, round by round', async () => {
    const { troupe } = openWorld()
    const barrier = troupe.barrier('b', 2)
    for (let round = 0; round < 3; round++) {
      let arrived = false
      const first = barrier.arrive().then(() => {
        arrived = true
      })
      await settle()
      expect(arrived).toBe(false)
      await Promise.all([first, barrier.arrive()])
    }
  })

  test('who waits at a latch or a barrier for too long is told TIMEOUT, and no longer counts', async () => {
    const { troupe, pass } = openWorld()
    const waits = [troupe.latch('l', 1).wait({ timeout: 300 }), troupe.barrier('b', 2).arrive({ timeout: 300 })]
    const ends = Promise.allSettled(waits)
    await pass(300)
    const codes = (await ends).map((end) => end.status === 'rejected' && (end.reason as { code: string }).code)
    expect(codes).toEqual(['TIMEOUT', 'TIMEOUT'])
    let arrived = false
    void troupe
      .barrier('b', 2)
      .arrive()
      .then(() => {
        arrived = true
      })
    await pass(0)
    expect(arrived).toBe(false)
  })

  test('once has the others wait for its task as long as that takes, unless they say how long', async () => {
    const { troupe, time, pass } = openWorld()
    const task = (): Promise<string> =>
      new Promise((resolve) => void time.at(time.now() + 60_000, () => resolve('done')))
    const results = [troupe.once('o', task), troupe.once('o', task)]
    const hasty = troupe.once('o', task, { timeout: 5000 }).catch((error: unknown) => error)
    await pass(70_000)
    expect(await hasty).toMatchObject({ code: 'TIMEOUT' })
    expect(await Promise.all(results)).toEqual(['done', 'done'])
  })

  test('once gives everybody what its task gave, also when that is undefined', async () => {
    const { troupe } = openWorld()
    const task = (): unknown => undefined
    expect([await troupe.once('o', task), await troupe.once('o', task)]).toEqual([undefined, undefined])
  })

  test('once runs its task once, and again only when it failed', async () => {
    const { troupe } = openWorld()
    let runs = 0
    await expect(troupe.once('o', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    const results = await Promise.all([1, 2, 3].map(() => troupe.once('o', () => ++runs)))
    expect([results, runs]).toEqual([[1, 1, 1], 1])
  })

  test('what a lease sets fits the schema of its map', async () => {
    const { troupe } = openWorld()
    const map = defineMap('online', { schema: z.object({ port: z.number().default(80) }) })
    const lease = await troupe.lease()
    await lease.set(map, 'ann', {})
    expect((await troupe.map(map).get('ann'))?.value).toEqual({ port: 80 })
    const wrong = lease.set(map, 'ann', { port: 'none' as never })
    await expect(wrong).rejects.toMatchObject({ code: 'VALIDATION' })
    const unknown = { tiemout: 5 } as object
    await expect(lease.set(map, 'ann', {}, unknown)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(lease.end(unknown)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  test('a name says in whose use it is when it is asked for as something else', async () => {
    const { troupe } = openWorld()
    const held = [await troupe.lock('l'), await troupe.campaign('o'), await troupe.semaphore('s', 4)]
    await expect(troupe.semaphore('l', 4)).rejects.toThrow("'l' is in use as a lock")
    await expect(troupe.lock('o')).rejects.toThrow("'o' is in use as an office")
    await expect(troupe.semaphore('s', 5)).rejects.toThrow("'s' is in use as one of 4 permits")
    for (const each of held) await each.release()
  })

  test('keys of a lease go with it', async () => {
    const { troupe } = openWorld()
    const map = defineMap<string>('online')
    const lease = await troupe.lease()
    await lease.set(map, 'ann', 'here')
    expect((await troupe.map(map).get('ann'))?.value).toBe('here')
    await lease.end()
    expect(await troupe.map(map).get('ann')).toBeUndefined()
  })
})
