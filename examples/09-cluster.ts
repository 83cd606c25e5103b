/**
 * One file that is a program by itself, and a cluster of three when it is run three times with other variables; each
 * tenant has a queue of its own, so that one who sends a million messages delays nobody else
 * (docs/guide/first-cluster.md).
 *
 *   export TROUPE_JOIN=127.0.0.1:7501,127.0.0.1:7502,127.0.0.1:7503
 *   TROUPE_NODE=n1 TROUPE_LISTEN=127.0.0.1:7501 TROUPE_DATA_DIR=./n1 npx tsx 09-cluster.ts
 *   TROUPE_NODE=n2 TROUPE_LISTEN=127.0.0.1:7502 TROUPE_DATA_DIR=./n2 npx tsx 09-cluster.ts
 *   TROUPE_NODE=n3 TROUPE_LISTEN=127.0.0.1:7503 TROUPE_DATA_DIR=./n3 npx tsx 09-cluster.ts
 */

import { defineQueue, handleSignals, open } from 'troupe'

const TENANTS = ['acme', 'globex', 'initech']

const me = process.env.TROUPE_NODE ?? 'alone'
const queueOf = (tenant: string) => defineQueue<{ readonly job: number }>(`jobs/${tenant}`, { concurrency: 2 })

const troupe = await open()

// SIGTERM and Ctrl-C: handlers finish, leaderships move to the others, then the process ends.
handleSignals(troupe)

// Every process works for every tenant. At most two jobs of a tenant are under way at once, in the whole cluster.
for (const tenant of TENANTS) {
  troupe.queue(queueOf(tenant)).work(({ value }) => console.log(`${me} did job ${value.job} of ${tenant}`), {
    consumer: me,
    concurrency: 2,
  })
}

// All of them say this, and it happens once in the life of the cluster.
await troupe.once('the first jobs', async () => {
  for (const tenant of TENANTS) await troupe.queue(queueOf(tenant)).sendAll([{ job: 1 }, { job: 2 }, { job: 3 }])
})
console.log(`${me} is ready`)
