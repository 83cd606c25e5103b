/** Cron that fires once in the whole cluster, however many processes set it (docs/guide/schedule.md). */

import { setTimeout as sleep } from 'node:timers/promises'
import { defineQueue, open } from 'troupe'

const reports = defineQueue<{ readonly kind: string }>('reports')

const troupe = await open()

// Every process says this when it starts: the same schedule again changes nothing.
for (let process = 1; process <= 3; process++) {
  await troupe.schedule(reports, 'beat', { cron: '* * * * * *' }, { value: { kind: 'short' } })
  await troupe.schedule(
    reports,
    'nightly',
    { cron: '0 3 * * *', timeZone: 'Europe/Berlin' },
    { value: { kind: 'full' }, missed: 'latest' },
  )
}
const schedules = await troupe.schedules()
console.log(
  'set by three, there once:',
  schedules
    .map(({ id }) => id)
    .sort()
    .join(', '),
)

const nightly = schedules.find(({ id }) => id === 'nightly')
const hour = new Intl.DateTimeFormat('en', { timeZone: 'Europe/Berlin', hour: 'numeric', hourCycle: 'h23' })
console.log('the next night report is due at', hour.format(nightly?.nextAt), 'in Berlin, summer or winter')

// Each firing is a message like any other: retried when the handler fails, and named so that an effect elsewhere can be
// made once.
const firings: string[] = []
const worker = troupe.queue(reports).work(({ value, headers }) => {
  firings.push(`${value.kind} ${headers['troupe-firing']}`)
})
while (firings.length < 3) await sleep(50)
await worker.drain()
console.log('three firings, three names:', new Set(firings).size)

console.log('ended:', await troupe.unschedule(reports, 'beat'))

await troupe.close()
