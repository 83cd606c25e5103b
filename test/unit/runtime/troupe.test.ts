import { describe, expect, test } from 'vitest'
import { SeededRandom } from '../../../src/base/random.ts'
import { defineMap } from '../../../src/data/map.ts'
import { memoryDriver } from '../../../src/driver/memory/memory.ts'
import type { Troupe, TroupeParts } from '../../../src/runtime/troupe.ts'
import { createTroupe } from '../../../src/runtime/troupe.ts'
import { EventQueue } from '../../../src/simulation/world/event-queue.ts'

const clock = { now: () => 0, wallTime: () => 0 }
const numbers = defineMap<number>('numbers')

function troupeOf(parts: Partial<TroupeParts> = {}): Troupe {
  return createTroupe({
    driver: memoryDriver(),
    clock,
    scheduler: new EventQueue(),
    random: new SeededRandom(1),
    ...parts,
  })
}

describe('a Troupe', () => {
  test('gives handles that share one map', async () => {
    const troupe = troupeOf()
    await troupe.map(numbers).set('a', 1)
    expect((await troupe.map(defineMap<number>('numbers')).get('a'))?.value).toBe(1)
  })

  test('refuses what is no definition', () => {
    expect(() => troupeOf().map('numbers' as unknown as typeof numbers)).toThrow('made by defineMap')
  })

  test('tells status and outcomes, and refuses options it does not know', async () => {
    const troupe = troupeOf()
    expect((await troupe.status()).cluster).toBe('memory')
    expect(await troupe.outcome('7')).toBe('unknown')
    await expect(troupe.status({ timout: 1 } as object)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(troupe.outcome(7 as unknown as string)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})

describe('close', () => {
  test('aborts the signal, closes the driver and then the rest, once, however often it is called', async () => {
    const steps: string[] = []
    const driver = memoryDriver()
    const troupe = troupeOf({
      driver: { ...driver, close: async () => void steps.push('driver') },
      close: async () => void steps.push('rest'),
    })
    troupe.signal.addEventListener('abort', () => steps.push('signal'))
    await Promise.all([troupe.close(), troupe.close(), troupe[Symbol.asyncDispose]()])
    expect(steps).toEqual(['signal', 'driver', 'rest'])
    expect(troupe.signal.reason).toMatchObject({ code: 'CLOSED' })
  })

  test('makes later calls reject with CLOSED', async () => {
    const troupe = troupeOf()
    await troupe.close()
    await expect(troupe.map(numbers).get('a')).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test('closes the rest even when the driver cannot be closed', async () => {
    const steps: string[] = []
    const broken = new Error('broken')
    const troupe = troupeOf({
      driver: { ...memoryDriver(), close: () => Promise.reject(broken) },
      close: async () => void steps.push('rest'),
    })
    await expect(troupe.close()).rejects.toBe(broken)
    expect(steps).toEqual(['rest'])
  })
})

describe('a loop over changes', () => {
  async function follow(troupe: Troupe, signal?: AbortSignal): Promise<string> {
    const changes = troupe.map(numbers).watch(signal === undefined ? {} : { signal })
    for await (const change of changes) return change.key
    return 'ended'
  }

  test('ends when the Troupe is closed or drained, with its signal or without', async () => {
    for (const end of ['close', 'drain'] as const) {
      const troupe = troupeOf()
      const loops = [follow(troupe), follow(troupe, troupe.signal)]
      await troupe[end]()
      expect(await Promise.all(loops)).toEqual(['ended', 'ended'])
    }
  })

  test('throws when the engine fails, and when a signal of its own aborts', async () => {
    const engine = new AbortController()
    const troupe = troupeOf({ failed: engine.signal })
    const own = new AbortController()
    const loops = [follow(troupe, troupe.signal), follow(troupe, own.signal)]
    engine.abort(new Error('the disk is gone'))
    own.abort(new Error('enough'))
    await expect(loops[0]).rejects.toThrow('the disk is gone')
    await expect(loops[1]).rejects.toThrow('enough')
  })
})

describe('drain', () => {
  test('aborts the signal, hands over within its time, and closes', async () => {
    const steps: string[] = []
    const troupe = troupeOf({
      drain: async (timeout) => void steps.push(`drain ${timeout}`),
      close: async () => void steps.push('close'),
    })
    troupe.signal.addEventListener('abort', () => steps.push('signal'))
    await Promise.all([troupe.drain({ timeout: 7 }), troupe.drain()])
    await troupe.close()
    expect(steps).toEqual(['signal', 'drain 7', 'close'])
  })

  test('lets calls go on while it hands over', async () => {
    const revisions: bigint[] = []
    const troupe = troupeOf({
      drain: async () => void revisions.push((await troupe.map(numbers).set('last', 1)).revision),
    })
    await troupe.drain()
    expect(revisions).toEqual([1n])
    await expect(troupe.map(numbers).get('last')).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test('waits for the writes that are under way, but not beyond its time', async () => {
    const time = new EventQueue()
    const driver = memoryDriver()
    const steps: string[] = []
    let settle = (): void => {}
    const settled = (): Promise<void> => new Promise((resolve) => (settle = resolve))
    const troupe = () =>
      troupeOf({
        driver: { ...driver, settled },
        clock: time,
        scheduler: time,
        drain: async () => void steps.push('drain'),
      })
    const waiting = troupe().drain({ timeout: 1000 })
    await new Promise((resolve) => setImmediate(resolve))
    steps.push('settled')
    settle()
    await waiting
    const late = troupe().drain({ timeout: 1000 })
    await new Promise((resolve) => setImmediate(resolve))
    steps.push('late')
    while (time.step(1000));
    await late
    expect(steps).toEqual(['settled', 'drain', 'late', 'drain'])
  })

  test('closes also what could not hand over', async () => {
    const troupe = troupeOf({ drain: () => Promise.reject(new Error('no majority')) })
    await expect(troupe.drain()).resolves.toBeUndefined()
    await expect(troupe.map(numbers).get('a')).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

test('an engine that fails aborts the signal with its error', () => {
  const engine = new AbortController()
  const troupe = troupeOf({ failed: engine.signal })
  const error = new Error('the disk is gone')
  engine.abort(error)
  expect(troupe.signal.reason).toBe(error)
})
