/** A lock that holds: its token shuts out whoever had it before (docs/guide/fencing.md). */

import { defineMap, isTroupeError, open } from 'troupe'

const accounts = defineMap<number>('accounts')

const troupe = await open()
const map = troupe.map(accounts)

// Of those who want it, one holds it at a time; the others wait in line.
let inside = 0
const turn = async (cents: number) =>
  troupe.withLock('billing', async (lock) => {
    inside += 1
    const before = (await map.get('ann'))?.value ?? 0
    await map.set('ann', before + cents, { fence: lock })
    inside -= 1
    return inside === 0
  })
const alone = await Promise.all([turn(1), turn(20), turn(300)])
console.log('each was alone:', alone.every(Boolean))
console.log('ann has', (await map.get('ann'))?.value)

// A holder that was asleep for too long does not know that its time is over. Its token is older than the next holder's.
const first = await troupe.lock('billing')
await first.release()
const second = await troupe.lock('billing')
await map.set('ann', 0, { fence: second })
try {
  await map.set('ann', 1_000_000, { fence: first })
} catch (error) {
  if (!isTroupeError(error, 'FENCED')) throw error
  console.log('the first holder is fenced off')
}
console.log('ann has', (await map.get('ann'))?.value)

// Not to wait is an answer, too.
try {
  await troupe.lock('billing', { wait: false })
} catch (error) {
  if (!isTroupeError(error, 'LOCKED')) throw error
  console.log('billing is taken')
}
await second.release()

await troupe.close()
