/** The bench measures Troupe, and with --peers what it is compared to, cell by cell in one go: machines drift, ratios less so. */

import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { installClients } from './built.mjs'
import { Conversation } from './conversation.mjs'
import { cpuSeconds } from './cpu.mjs'
import { printProfiles } from './profile.mjs'
import { Site } from './site.mjs'
import { printWaiting } from './waiting.mjs'

const USAGE = `npm run bench -- [options]

  --json               one row a line, as JSON
  --inflight 1,64,256  operations under way at once
  --workload NAME,…    map.set, map.get linearizable, queue.send, queue.receive+ack, queue.roundtrip,
                       topic.publish, topic.consume, lock; default all
  --seconds 5          how long each cell is measured
  --peers              the floor, etcd, NATS and RabbitMQ in the same go, and the ratios
  --system NAME,…      only these of: troupe, floor, etcd, nats, rabbitmq; embedded, inline, disk, append
  --cpu                the CPU time of an operation, in microseconds: of all servers, and of the client
  --profile DIR        writes V8 CPU profiles of the three nodes and the client, and prints where the time went
  --embedded           one node in the application's process, in a thread of its own and inline, beside its disk alone:
                       in the quickest way there is (disk), and as most programs write to it (append); queue.send and
                       queue.sendAll, which sends as many messages together as --inflight says; default 1,256,1024
  --waiting 1000000    fills a queue of three nodes with so many messages, and prints what memory each node has

Each system runs as three processes with 256-byte values and is called as its users call it to be fast. In flight are calls
that have not been answered; of what is received, messages that have been delivered and not acknowledged. What is consumed lies
there before: a probe tells how fast it goes, and three times as much is filled in. Troupe, etcd and RabbitMQ answer a write once a
majority has synced it; NATS answers before it syncs; NATS and RabbitMQ answer no acknowledgement at all.`

const WORKLOADS = [
  'map.set',
  'map.get linearizable',
  'queue.send',
  'queue.receive+ack',
  'queue.roundtrip',
  'topic.publish',
  'topic.consume',
  'lock',
]
const EMBEDDED = {
  systems: ['embedded', 'inline', 'disk', 'append'],
  workloads: ['queue.send', 'queue.sendAll'],
  inflight: '1,256,1024',
}
const SYSTEMS = ['troupe', 'floor', 'etcd', 'nats', 'rabbitmq']
/** What may not be left out: the bench is about it. */
const OURS = ['troupe', 'embedded', 'inline']
const CLIENT = fileURLToPath(new URL('./client.mjs', import.meta.url))

/** @typedef {import('./system.d.ts').System} System */
/** @typedef {import('../src/cli/measure.ts').MeasuredRow} Row */

const options = readOptions()
const site = new Site()
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void site.close().then(() => process.exit(130)))
try {
  if (options.waiting > 0) await printWaiting(site, options.waiting, options.json)
  else {
    const rows = await measureAll(await startAll())
    const ours = options.systems.find((name) => OURS.includes(name))
    if (ours !== undefined && options.systems.length > 1) printRatios(rows, ours)
  }
} finally {
  await site.close()
}
if (options.profile !== undefined) printProfiles(options.profile)

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        json: { type: 'boolean', default: false },
        inflight: { type: 'string' },
        workload: { type: 'string' },
        seconds: { type: 'string', default: '5' },
        peers: { type: 'boolean', default: false },
        system: { type: 'string' },
        cpu: { type: 'boolean', default: false },
        profile: { type: 'string' },
        embedded: { type: 'boolean', default: false },
        waiting: { type: 'string', default: '0' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) {
      console.log(USAGE)
      process.exit(0)
    }
    const usual = values.embedded
      ? EMBEDDED
      : { systems: values.peers ? SYSTEMS : ['troupe'], workloads: WORKLOADS, inflight: '1,64,256' }
    const systems = values.system?.split(',') ?? usual.systems
    const workloads = values.workload?.split(',') ?? usual.workloads
    const inflights = (values.inflight ?? usual.inflight).split(',').map(Number)
    const [seconds, waiting] = [Number(values.seconds), Number(values.waiting)]
    refuse(workloads, [...WORKLOADS, ...EMBEDDED.workloads], 'workload')
    refuse(systems, [...SYSTEMS, ...EMBEDDED.systems], 'system')
    const wrong = [...inflights, seconds, waiting + 1].filter((number) => !(number > 0))
    refuse(wrong.map(String), [], 'number')
    const profile = values.profile === undefined ? undefined : resolve(values.profile)
    if (profile !== undefined) mkdirSync(profile, { recursive: true })
    return { json: values.json, cpu: values.cpu, systems, workloads, inflights, seconds, waiting, profile }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    process.exit(2)
  }
}

/**
 * @param {string[]} names
 * @param {string[]} known
 * @param {string} what
 */
function refuse(names, known, what) {
  const wrong = names.find((name) => !known.includes(name))
  if (wrong !== undefined) throw new Error(`there is no ${what} '${wrong}'`)
}

/** @typedef {{ system: System, client: Conversation, servers: number[] }} Measured */

/** @returns {Promise<Measured[]>} */
async function startAll() {
  const measured = []
  const noClients = options.systems.some(needsClients) ? installClients() : undefined
  for (const name of options.systems) {
    /** @type {System} */
    const system = await import(new URL(`./${name}.mjs`, import.meta.url).href)
    const missing = system.missing() ?? (needsClients(name) ? noClients : undefined)
    const started = missing ?? (await startSystem(name, system).catch((error) => leftOut(name, error)))
    if (typeof started === 'string') console.error(`${name} is left out: ${started}`)
    else measured.push(started)
  }
  return measured
}

/** @param {string} name */
function needsClients(name) {
  return ['etcd', 'nats', 'rabbitmq'].includes(name)
}

/**
 * A peer that does not start is left out.
 * @param {string} name
 * @param {Error} error
 */
function leftOut(name, error) {
  if (OURS.includes(name)) throw new Error(lastWords(name), { cause: error })
  return `${error.message}\n${lastWords(name)}`.trimEnd()
}

/** @param {string} name */
function lastWords(name) {
  try {
    return site.lastWords(name === 'troupe' ? 'troupe-n1' : `${name}-n0`)
  } catch {
    return ''
  }
}

/**
 * @param {string} name
 * @param {System} system
 * @returns {Promise<Measured>}
 */
async function startSystem(name, system) {
  const isProfiled = options.profile !== undefined && name === 'troupe'
  const others = new Set(site.pids)
  const connection = await system.serve(site, isProfiled ? options.profile : undefined)
  const servers = site.pids.filter((pid) => !others.has(pid))
  const profile = isProfiled ? ['--cpu-prof', `--cpu-prof-dir=${join(options.profile ?? '', 'client')}`] : []
  const client = new Conversation(name, site.fork(CLIENT, [name, JSON.stringify(connection)], profile))
  await client.heard()
  return { system, client, servers }
}

/**
 * @param {Measured[]} measured
 * @returns {Promise<Row[]>}
 */
async function measureAll(measured) {
  /** @type {Row[]} */
  const rows = []
  const cpuHeads = options.cpu ? ['cpu µs/op', 'client µs'] : []
  if (!options.json) console.log(line(['system', 'workload', 'in flight', 'ops/s', 'p50 ms', 'p99 ms', ...cpuHeads]))
  for (const workload of options.workloads) {
    for (const inflight of options.inflights) {
      for (const each of measured) {
        if (!each.system.workloads.some((known) => known === workload)) continue
        const row = await measureCell(each, { workload, inflight, seconds: options.seconds }).catch(failed)
        if (row === undefined) console.error(`${each.system.name} is left out of ${workload} at ${inflight}`)
        else rows.push(row)
      }
    }
  }
  return rows
}

/**
 * One cell is not worth all the others.
 * @param {Error} error
 */
function failed(error) {
  console.error(error.message)
  process.exitCode = 1
  return undefined
}

/**
 * @param {Measured} measured
 * @param {{ workload: string, inflight: number, seconds: number }} cell
 * @returns {Promise<Row>}
 */
async function measureCell({ client, servers }, cell) {
  const cpu = () => [cpuSeconds(servers), cpuSeconds([client.pid])]
  client.say(cell)
  await client.heard()
  const before = cpu()
  /** @type {Row} */
  const row = await client.heard()
  // Warming up costs as much as what is counted, and is counted here.
  const operations = row.opsPerSecond * (cell.seconds + Math.min(1, cell.seconds))
  const [ofServers = 0, ofClient = 0] = cpu().map((after, at) =>
    Number(((1e6 * (after - (before[at] ?? 0))) / operations).toFixed(1)),
  )
  const cpuRow = options.cpu ? { serverCpuMicros: ofServers, clientCpuMicros: ofClient } : {}
  printRow(row, cpuRow)
  await client.heard()
  return row
}

/**
 * @param {Row} row
 * @param {Record<string, number>} cpuRow
 */
function printRow(row, cpuRow) {
  const { system, workload, inflight, opsPerSecond, p50Ms, p99Ms } = row
  const cells = [system, workload, inflight, opsPerSecond, p50Ms.toFixed(2), p99Ms.toFixed(2)]
  console.log(options.json ? JSON.stringify({ ...row, ...cpuRow }) : line([...cells, ...Object.values(cpuRow)]))
}

/**
 * @param {Row[]} rows
 * @param {string} ours
 */
function printRatios(rows, ours) {
  if (!options.json) console.log(`\n${line([`${ours} to`, 'workload', 'in flight', 'ops/s', 'p50', 'p99'])}`)
  for (const own of rows.filter((row) => row.system === ours)) {
    for (const peer of rows.filter((row) => row.system !== ours && row.workload === own.workload)) {
      if (peer.inflight !== own.inflight) continue
      const { workload, inflight } = own
      const opsPerSecond = ratio(own.opsPerSecond, peer.opsPerSecond)
      const [p50, p99] = [ratio(own.p50Ms, peer.p50Ms), ratio(own.p99Ms, peer.p99Ms)]
      const cells = [peer.system, workload, inflight, `${opsPerSecond}×`, `${p50}×`, `${p99}×`]
      console.log(
        options.json
          ? JSON.stringify({ ratio: `${ours}/${peer.system}`, workload, inflight, opsPerSecond, p50, p99 })
          : line(cells),
      )
    }
  }
}

/**
 * @param {number} a
 * @param {number} b
 */
function ratio(a, b) {
  return b === 0 ? null : Number((a / b).toFixed(2))
}

/** @param {(string | number)[]} cells */
function line(cells) {
  return cells
    .map((cell, at) => (at < 2 ? String(cell).padEnd(at === 0 ? 12 : 22) : String(cell).padStart(10)))
    .join('')
}
