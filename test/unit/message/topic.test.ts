import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineTopic } from '../../../src/message/topic.ts'
import { openWorld, settle } from './world.ts'

const orders = defineTopic('orders', { schema: z.object({ id: z.number() }), partitions: 2 })

test('three groups see each record once, and an ephemeral reader what came after it', async () => {
  const { troupe } = openWorld()
  const topic = troupe.topic(orders)
  const late = topic.subscribe()[Symbol.asyncIterator]()
  const first = late.next()
  await topic.publishAll([{ id: 1 }, { id: 2 }, { id: 3 }], { key: 'k' })
  for (const group of ['a', 'b', 'c']) {
    const seen: number[] = []
    for await (const batch of topic.subscribe({ group, batch: 2, autoCommit: true })) {
      seen.push(...batch.records.map(({ value }) => value.id))
      if (seen.length >= 3) break
    }
    expect(seen).toEqual([1, 2, 3])
  }
  expect((await first).value?.records[0]?.value).toEqual({ id: 1 })
})

test('what does not fit the schema is not published', async () => {
  const topic = openWorld().troupe.topic(orders)
  const bad = topic.publish({ id: 'x' } as unknown as { id: number })
  await expect(bad).rejects.toMatchObject({ code: 'VALIDATION', details: { issues: [{ path: ['id'] }] } })
  expect(() => defineTopic('t', { partitions: 0 })).toThrow('partitions')
})

test('a table view holds the newest value of each key, follows, and forgets what was deleted', async () => {
  const { troupe } = openWorld()
  const topic = troupe.topic(defineTopic<number | null>('table', { compact: true, partitions: 2 }))
  for (let round = 0; round < 100; round++) await topic.publish(round, { key: `k${round % 5}` })
  await using view = await topic.table()
  expect(new Map(view.entries())).toEqual(new Map([0, 1, 2, 3, 4].map((at) => [`k${at}`, 95 + at])))
  await topic.publish(null, { key: 'k0' })
  await topic.publish(7, { key: 'k1' })
  await settle()
  expect([view.size, view.get('k0'), view.get('k1')]).toEqual([4, undefined, 7])
})

test('a pattern reads what matches it, and refuses what is none', async () => {
  const { troupe } = openWorld()
  const topicOf = (name: string) => troupe.topic(defineTopic<number>(name, { partitions: 2 }))
  await topicOf('orders.de').publish(0)
  const got: [string, unknown][] = []
  const end = new AbortController()
  const reading = (async () => {
    for await (const { topic, records } of troupe.subscribe('orders.*', { signal: end.signal })) {
      for (const { value } of records) got.push([topic, value])
    }
  })()
  await settle()
  await topicOf('orders.de').publish(1)
  await topicOf('orders.fr').publish(2)
  await topicOf('orders.fr.late').publish(3)
  await settle()
  expect(got).toEqual([
    ['orders.de', 1],
    ['orders.fr', 2],
  ])
  end.abort(new Error('enough'))
  await expect(reading).rejects.toThrow('enough')
  for (const pattern of ['orders', 'orders.>.de', 'a b.*', '', 'orders*']) {
    expect(() => troupe.subscribe(pattern)).toThrow('pattern')
  }
  expect(() => troupe.subscribe('a.*', { group: 'g' } as object)).toThrow('group')
})
