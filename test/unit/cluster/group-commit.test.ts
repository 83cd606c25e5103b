import { expect, test } from 'vitest'
import { TestCluster } from './cluster.ts'

test('a thousand groups that are written at once share their commits of the log', async () => {
  const cluster = new TestCluster(['n1', 'n2', 'n3'], 1000)
  await cluster.run(5000)
  const driver = cluster.application(true)
  const writes = 4000
  let acknowledged = 0
  const before = cluster.commits
  const work = Array.from({ length: writes }, (_, at) => driver.keyValue.set('m', `key ${at}`, new Uint8Array(100), {}))
  for (const write of work) void write.then(() => acknowledged++)
  await cluster.run(5000)
  expect(acknowledged).toBe(writes)
  const commitsOfANode = (cluster.commits - before) / cluster.nodes.length
  expect(commitsOfANode).toBeLessThan(writes * 0.05)
}, 30_000)
