/**
 * An order pipeline in which a step happens as a whole or not at all: acknowledgement, totals and the next message
 * (docs/guide/queue.md).
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { defineMap, defineQueue, fixedDelay, open } from 'troupe'

interface Order {
  readonly total: number
}

interface Invoice {
  readonly customer: string
  readonly total: number
}

// What has the same placement has its equal keys in the same shard, so that one log entry can change them together.
const orders = defineQueue<Order>('orders', { placement: 'shop', maxAttempts: 2, retry: fixedDelay(20) })
const totals = defineMap<number>('totals', { placement: 'shop' })
const invoices = defineQueue<Invoice>('invoices')

const troupe = await open()
const queue = troupe.queue(orders)

for (const total of [10, 20, 30]) await queue.send({ total }, { key: 'ann' })
await queue.send({ total: -5 }, { key: 'bob' })
await queue.send({ total: 7 }, { key: 'bob' })

// One message of a customer at a time, so the total that is read here is the one that is replaced below.
const worker = queue.work(
  async ({ key, value, attempt }, context) => {
    const before = (await troupe.map(totals).get(key))?.value ?? 0
    context.set(totals, key, before + value.total)
    context.emit(invoices, { customer: key, total: value.total }, { key })
    // What fails leaves nothing: neither the total nor the invoice of this attempt.
    if (value.total < 0) throw new Error('a total is not negative')
    if (value.total === 20 && attempt === 1) throw new Error('a bad moment')
  },
  { concurrency: 4 },
)

const billed: Invoice[] = []
const biller = troupe.queue(invoices).work(({ value }) => void billed.push(value))
while (billed.length < 4) await sleep(20)
await worker.drain()
await biller.drain()

for await (const { key, value } of troupe.map(totals).scan()) console.log(key, 'has ordered for', value)
const ann = billed.filter(({ customer }) => customer === 'ann')
console.log('invoices of ann, each once and in order:', ann.map(({ total }) => total).join(', '))
for await (const { key, value, lastError } of queue.deadLetters()) {
  console.log('an order of', key, 'for', (value as Order).total, 'died:', lastError?.message)
}

await troupe.close()
