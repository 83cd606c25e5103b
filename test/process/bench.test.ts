import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { endAll, OsProcess, root } from './os-process.ts'

afterEach(endAll)

/** Runs the bench to its end; `rows` are what it printed, each line as JSON. */
async function bench(words: readonly string[]) {
  const { code, stdout, stderr } = await new OsProcess(process.execPath, [join(root, 'bench/main.mjs'), ...words]).ended
  const lines = stdout === '' ? [] : stdout.trimEnd().split('\n')
  return { code, stderr, rows: lines.map((line) => JSON.parse(line)) }
}

test('the bench prints a row for each cell, and how Troupe compares', async () => {
  const words = ['--json', '--system', 'troupe,floor', '--workload', 'map.set', '--inflight', '16', '--seconds', '1']
  const { code, rows } = await bench(words)
  expect(code).toBe(0)
  const row = { workload: 'map.set', inflight: 16, opsPerSecond: expect.any(Number), p50Ms: expect.any(Number) }
  expect(rows).toEqual([
    { system: 'troupe', ...row, p99Ms: expect.any(Number) },
    { system: 'floor', ...row, p99Ms: expect.any(Number) },
    {
      ratio: 'troupe/floor',
      workload: 'map.set',
      inflight: 16,
      opsPerSecond: expect.any(Number),
      p50: expect.any(Number),
      p99: expect.any(Number),
    },
  ])
  expect(Math.min(...rows.slice(0, 2).map((each) => each.opsPerSecond))).toBeGreaterThan(0)
})

test('every workload of the bench runs', async () => {
  const words = ['--json', '--inflight', '4', '--seconds', '0.2']
  const { code, rows, stderr } = await bench(words)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(rows.map(({ workload }) => workload)).toEqual([
    'map.set',
    'map.get linearizable',
    'queue.send',
    'queue.receive+ack',
    'queue.roundtrip',
    'topic.publish',
    'topic.consume',
    'lock',
  ])
  for (const { opsPerSecond } of rows) expect(opsPerSecond).toBeGreaterThan(0)
})

test('embedded, the bench measures beside what the disk can do', async () => {
  const words = ['--json', '--embedded', '--inflight', '8', '--seconds', '0.2']
  const { code, rows } = await bench(words)
  expect(code).toBe(0)
  expect(rows.map(({ system, ratio, workload }) => `${system ?? ratio} ${workload}`)).toEqual([
    'embedded queue.send',
    'inline queue.send',
    'disk queue.send',
    'append queue.send',
    'embedded queue.sendAll',
    'inline queue.sendAll',
    'disk queue.sendAll',
    'append queue.sendAll',
    'embedded/inline queue.send',
    'embedded/disk queue.send',
    'embedded/append queue.send',
    'embedded/inline queue.sendAll',
    'embedded/disk queue.sendAll',
    'embedded/append queue.sendAll',
  ])
})

test('the bench prints what memory waiting messages take', async () => {
  const words = ['--json', '--waiting', '2000']
  const { code, rows } = await bench(words)
  expect(code).toBe(0)
  expect(rows.map(({ node, waiting }) => [node, waiting])).toEqual([
    ['n1', 2000],
    ['n2', 2000],
    ['n3', 2000],
  ])
})

test('the bench refuses what it does not know, and says what it does', async () => {
  const { code, stderr } = await bench(['--workload', 'x'])
  expect(code).toBe(2)
  expect(stderr).toContain("there is no workload 'x'")
  expect(stderr).toContain('--inflight')
})
