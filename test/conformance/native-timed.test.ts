import { describe, expect, test } from 'vitest'
import type { Millis } from '../../src/base/time.ts'
import { leaseConformance } from '../../src/driver/conformance/lease.ts'
import type { TimedConformanceCase } from '../../src/driver/conformance/message-case.ts'
import { queueConformance } from '../../src/driver/conformance/queue.ts'
import { topicConformance } from '../../src/driver/conformance/topic.ts'
import { TestCluster } from '../unit/cluster/cluster.ts'

const suites = { queue: queueConformance, topic: topicConformance, lease: leaseConformance }
/** Of virtual time: no case takes longer. */
const MOST_MS: Millis = 60_000

for (const [facet, cases] of Object.entries(suites)) {
  describe.each([
    ['that it talks to directly', true],
    ['of which one forwards', false],
  ])(`the native driver's ${facet} facet, over three nodes %s`, (_, isDirect) => {
    for (const promise of cases)
      test(promise.name, async () => expect(await runInVirtualTime(promise, isDirect)).toBeUndefined())
  })
}

/** The broken promise, if it was. */
async function runInVirtualTime(promise: TimedConformanceCase, isDirect: boolean): Promise<unknown> {
  const cluster = new TestCluster(['n1', 'n2', 'n3'])
  const time = cluster.queue
  const sleep = (duration: Millis): Promise<void> =>
    new Promise((resolve) => void time.at(time.now() + duration, resolve))
  const connect = async () => cluster.application(isDirect)
  let end: { readonly error: unknown } | undefined
  promise.run({ driver: await connect(), name: 'name', connect, sleep }).then(
    () => {
      end = { error: undefined }
    },
    (error: unknown) => {
      end = { error }
    },
  )
  while (end === undefined && time.now() < MOST_MS) await cluster.run(50)
  expect(end, 'it ends').toBeDefined()
  return end?.error
}
