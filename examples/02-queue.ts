/** A job queue in one process: order by key, retries, dead letters (docs/guide/queue.md). */

import { setTimeout as sleep } from 'node:timers/promises'
import { defineQueue, fixedDelay, open } from 'troupe'

interface Email {
  readonly to: string
  readonly text: string
}

const emails = defineQueue<Email>('emails', { maxAttempts: 3, retry: fixedDelay(20) })

const troupe = await open()
const queue = troupe.queue(emails)

// A send that has resolved is kept by a majority. Messages of one key come one at a time, oldest first.
await queue.send({ to: 'ann', text: 'welcome' }, { key: 'ann' })
await queue.send({ to: 'ann', text: 'your invoice' }, { key: 'ann' })
await queue.send({ to: 'nobody', text: 'hello?' })

// However often it is sent within five minutes, it is there once.
const again = await queue.send({ to: 'ann', text: 'good bye' }, { key: 'ann', deduplicate: 'bye-ann' })
const { id, isDuplicate } = await queue.send({ to: 'ann', text: 'good bye' }, { key: 'ann', deduplicate: 'bye-ann' })
console.log('sent twice, kept once:', isDuplicate && id === again.id)

const delivered: string[] = []

// A message is done when its handler returns; when it throws, the queue's policy says what follows.
const worker = queue.work(
  ({ value, attempt }) => {
    if (value.to === 'nobody') throw new Error('no such mailbox')
    // The first attempt meets a bad moment. What was sent to Ann later waits its turn.
    if (value.text === 'welcome' && attempt === 1) throw new Error('the mail server is busy')
    delivered.push(value.text)
  },
  { concurrency: 4 },
)
for (let rest = 1; rest > 0; await sleep(20)) {
  const { waiting, delayed, leased } = await queue.stats()
  rest = waiting + delayed + leased
}
await worker.drain()
console.log('ann got', delivered.join(', '))

// After its last attempt a message is a dead letter, with its error, until somebody removes it or sends it back.
for await (const { value, attempts, death, lastError } of queue.deadLetters()) {
  console.log(value, 'died of', death, 'after', attempts, 'deliveries:', lastError?.message)
}
console.log('sent back:', await queue.redrive({ reason: 'attempts' }))
console.log('waiting:', (await queue.stats()).waiting)

await troupe.close()
