/** A strong map, from the first key to the last, in one process and its memory (docs/guide/maps.md). */

import { defineMap, isTroupeError, open } from 'troupe'

interface Account {
  readonly owner: string
  readonly cents: number
}

const accounts = defineMap<Account>('accounts')

const troupe = await open()
const map = troupe.map(accounts)

// A condition makes creation safe: of two processes that try, one wins.
const { revision } = await map.set('de/ann', { owner: 'Ann', cents: 100 }, { ifRevision: 0n })
await map.set('de/bob', { owner: 'Bob', cents: 0 })
await map.set('fr/zoe', { owner: 'Zoe', cents: 7 })

try {
  await map.set('de/ann', { owner: 'Mallory', cents: 0 }, { ifRevision: 0n })
} catch (error) {
  if (!isTroupeError(error, 'CONFLICT')) throw error
  console.log('de/ann is taken')
}

// However many processes do this at once, no cent is lost.
const deposit = (cents: number) =>
  map.update('de/ann', (account) => ({ owner: 'Ann', cents: (account?.cents ?? 0) + cents }))
await Promise.all([deposit(1), deposit(20), deposit(300)])
console.log('de/ann has', (await map.get('de/ann'))?.value.cents)

for await (const { key, value } of map.scan({ prefix: 'de/' })) console.log(key, 'belongs to', value.owner)

// Everything that happened to Ann's account since its creation; breaking off ends the watch.
await map.delete('de/ann')
let deposits = 0
for await (const change of map.watch({ prefix: 'de/ann', from: revision })) {
  if (change.type === 'delete') break
  deposits += 1
}
console.log('de/ann was closed after', deposits, 'deposits')

await troupe.close()
