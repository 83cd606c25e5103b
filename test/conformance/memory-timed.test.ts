import { describe, expect, test } from 'vitest'
import { planCron } from '../../src/cluster/duty/cron.ts'
import { leaseConformance } from '../../src/driver/conformance/lease.ts'
import type { TimedConformanceCase } from '../../src/driver/conformance/message-case.ts'
import { queueConformance } from '../../src/driver/conformance/queue.ts'
import { topicConformance } from '../../src/driver/conformance/topic.ts'
import type { Driver } from '../../src/driver/contract.ts'
import { memoryDriver } from '../../src/driver/memory/memory.ts'
import { EventQueue } from '../../src/simulation/world/event-queue.ts'

const suites = { queue: queueConformance, topic: topicConformance, lease: leaseConformance }

for (const [facet, cases] of Object.entries(suites)) {
  describe(`the memory driver's ${facet} facet`, () => {
    for (const promise of cases) test(promise.name, async () => expect(await runInVirtualTime(promise)).toBeUndefined())
  })
}

/** Steps the clock whenever nothing but time is waited for; the broken promise, if it was. */
async function runInVirtualTime(promise: TimedConformanceCase): Promise<unknown> {
  const time = new EventQueue()
  const connect = async (): Promise<Driver> => memoryDriver({}, { clock: time, scheduler: time, planCron })
  const sleep = (duration: number): Promise<void> =>
    new Promise((resolve) => void time.at(time.now() + duration, resolve))
  const ended = promise.run({ driver: await connect(), name: 'name', connect, sleep }).then(
    () => ({ error: undefined }),
    (error: unknown) => ({ error }),
  )
  let end: { readonly error: unknown } | undefined
  void ended.then((result) => {
    end = result
  })
  for (let step = 0; end === undefined && step < 10_000; step++) {
    for (let turn = 0; turn < 30; turn++) await Promise.resolve()
    if (end === undefined) time.step(time.now() + 3_600_000)
  }
  expect(end, 'it ends').toBeDefined()
  return end?.error
}
