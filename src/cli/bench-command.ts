/** The bench command measures a running cluster from one client. */

import { CLIENT_FLAGS, withClient } from './client-command.ts'
import type { Client, Command, Terminal } from './command.ts'
import type { CommandLine } from './command-line.ts'
import { EXIT } from './failure.ts'
import { measure } from './measure.ts'
import { json } from './text.ts'
import type { Workload } from './workload.ts'
import { operationOf, WORKLOADS } from './workload.ts'

export const BENCH_COMMAND: Command = {
  name: 'bench',
  summary: 'measure throughput and latency of the cluster',
  parameters: [],
  flags: {
    workload: { value: 'NAME,…', help: `any of: ${WORKLOADS.join(', ')}; default all` },
    inflight: { value: 'N,…', help: 'operations under way at once; default 1,64,256' },
    seconds: { value: 'N', help: 'how long each cell is measured, after one second of warming up; default 5' },
    'value-bytes': { value: 'N', help: 'size of the values; default 256' },
    connect: CLIENT_FLAGS.connect ?? { help: '' },
    json: CLIENT_FLAGS.json ?? { help: '' },
    help: CLIENT_FLAGS.help ?? { help: '' },
  },
  examples: [
    ['troupe bench', 'all workloads, at 1, 64 and 256 in flight'],
    ['troupe bench --workload map.set --inflight 64 --seconds 10', 'one cell'],
    ['troupe bench --json', 'one row a line'],
  ],
  notes: ["It writes into the map 'bench' of the cluster it measures."],
  run: (line, terminal) => withClient(line, terminal, (client) => bench(client, line, terminal)),
}

async function bench(client: Client, line: CommandLine, terminal: Terminal): Promise<number> {
  const workloads = workloadsOf(line)
  const inflights = line.counts('inflight', 1) ?? [1, 64, 256]
  const seconds = line.count('seconds', 1) ?? 5
  const valueBytes = line.count('value-bytes') ?? 256
  if (!line.has('json')) await terminal.print('workload                in flight       ops/s    p50 ms    p99 ms')
  for (const workload of workloads) {
    const operation = operationOf(client, workload, valueBytes)
    for (const inflight of inflights) {
      const row = await measure({ system: 'troupe', workload, inflight, seconds, operation })
      const cells = [inflight, row.opsPerSecond, row.p50Ms.toFixed(2), row.p99Ms.toFixed(2)]
      const text = `${workload.padEnd(22)}${cells.map((cell) => String(cell).padStart(10)).join('')}`
      await terminal.print(line.has('json') ? json(row) : text)
    }
  }
  return EXIT.done
}

function workloadsOf(line: CommandLine): readonly Workload[] {
  const names = line.list('workload')
  if (names === undefined) return WORKLOADS
  return names.map((name) => {
    const workload = WORKLOADS.find((candidate) => candidate === name)
    if (workload === undefined) throw line.wrong(`--workload takes any of ${WORKLOADS.join(', ')}, not '${name}'`)
    return workload
  })
}
