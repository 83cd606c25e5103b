/** Events that many read, each at its own pace, and again from the beginning when that is needed (docs/guide/topic.md). */

import { defineTopic, open } from 'troupe'

interface OrderEvent {
  readonly order: string
  readonly type: 'placed' | 'paid' | 'shipped'
}

const events = defineTopic<OrderEvent>('orders', { partitions: 4, retention: { age: 30 * 86_400_000 } })
const prices = defineTopic<number>('prices', { compact: true })

const troupe = await open()
const topic = troupe.topic(events)

// Records of one key keep their order.
for (const type of ['placed', 'paid', 'shipped'] as const) {
  for (const order of ['o-1', 'o-2']) await topic.publish({ order, type }, { key: order })
}

/** Reads as a member of a group until it has seen so many, and commits what it has done. */
async function read(group: string, count: number): Promise<Map<string, string[]>> {
  const seen = new Map<string, string[]>()
  let left = count
  for await (const batch of topic.subscribe({ group })) {
    for (const { value } of batch.records) {
      seen.set(value.order, [...(seen.get(value.order) ?? []), value.type])
      left -= 1
    }
    await batch.commit()
    if (left === 0) break
  }
  return seen
}

// Groups do not know of each other: each gets everything.
console.log('billing saw o-1', (await read('billing', 6)).get('o-1')?.join(', '))
console.log('mailing saw o-2', (await read('mailing', 6)).get('o-2')?.join(', '))

// A group goes on where it has committed …
await topic.publish({ order: 'o-3', type: 'placed' }, { key: 'o-3' })
console.log('then billing saw', [...(await read('billing', 1)).keys()].join(', '))

// … and anywhere else when somebody says so: after a mistake in its code, for one.
await topic.reset('billing', 'earliest')
const again = await read('billing', 7)
console.log('billing saw it all again:', [...again.keys()].sort().join(', '))
const [lag] = await topic.groups().then((groups) => groups.filter(({ group }) => group === 'mailing'))
console.log(
  'mailing is behind by',
  lag?.partitions.reduce((sum, { committed, end }) => sum + Number(end - committed), 0),
)

// A compacted topic is a table: the newest record of each key, and null deletes one.
for (const price of [100, 90]) await troupe.topic(prices).publish(price, { key: 'tea' })
await using table = await troupe.topic(prices).table()
console.log('tea is', table.get('tea'))

await troupe.close()
