/** A queue campaign sends and receives through real processes, kills nodes and consumers meanwhile, and checks the ledger. */

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { defineQueue } from '../../src/message/queue.ts'
import type { ProcessCluster } from './cluster.ts'
import { now } from './ledger-file.mjs'
import { OsProcess, until } from './os-process.ts'
import { checkKey, Findings, LedgerFiles } from './queue-ledger.ts'

const CLIENT = fileURLToPath(new URL('./queue-client.mjs', import.meta.url))
const PRODUCERS = 2
const CONSUMERS = 2
/** Every so many kills of a node a consumer is killed, too. */
const KILLS_PER_CONSUMER = 3
/** A restart reads the log while others have the processors. */
const RESTART_MS = 60_000
const DRAIN_MS = 300_000
const work = defineQueue('work')

export interface CampaignOptions {
  /** Rounded up to whole messages of each key. */
  readonly messages: number
  readonly keys: number
  /** Over which the sending is spread; kills go on until it has ended. */
  readonly seconds: number
  readonly secondsBetweenKills: number
}

export interface CampaignResult {
  readonly nodeKills: number
  readonly consumerKills: number
  /** From the start of the slowest process to its listening: what it has to read of its log. */
  readonly longestRestartMs: number
  readonly sendingSeconds: number
  readonly drainingSeconds: number
  readonly findings: Findings
}

export class QueueCampaign {
  readonly #cluster: ProcessCluster
  readonly #options: CampaignOptions
  readonly #ledgers: string[] = []
  readonly #nodeKills: number[] = []
  readonly #restarts: number[] = []
  readonly #clientKills = new Map<number, number>()

  constructor(cluster: ProcessCluster, options: CampaignOptions) {
    this.#cluster = cluster
    this.#options = options
  }

  async run(): Promise<CampaignResult> {
    const began = now()
    const consumers = Array.from({ length: CONSUMERS }, () => this.#start('consume', 0))
    const producers = Array.from({ length: PRODUCERS }, (_, at) => this.#start('produce', at))
    let sentAt = Number.POSITIVE_INFINITY
    const sent = Promise.all(producers.map(({ client }) => finished(client))).finally(() => {
      sentAt = now()
    })
    await Promise.all([sent, this.#kill(consumers, () => now() < sentAt)])
    await this.#drain()
    await Promise.all(consumers.map(({ client }) => finished(client, 'SIGTERM')))
    const drainedAt = now()
    return {
      nodeKills: this.#nodeKills.length,
      consumerKills: this.#clientKills.size,
      longestRestartMs: Math.round(Math.max(0, ...this.#restarts)),
      sendingSeconds: Math.round(sentAt - began) / 1_000,
      drainingSeconds: Math.round(drainedAt - sentAt) / 1_000,
      findings: this.#check(),
    }
  }

  async #kill(consumers: Client[], isOn: () => boolean): Promise<void> {
    const { names } = this.#cluster
    for (let kill = 1; ; kill++) {
      await sleep(this.#options.secondsBetweenKills * 1_000)
      if (!isOn()) return
      const victim = names[Math.floor(Math.random() * names.length)] ?? ''
      this.#nodeKills.push(now())
      await this.#cluster.process(victim).end('SIGKILL')
      const startedAt = now()
      await this.#cluster.startNode(victim, RESTART_MS)
      this.#restarts.push(now() - startedAt)
      if (kill % KILLS_PER_CONSUMER !== 0) continue
      const [unlucky] = consumers.splice(Math.floor(Math.random() * consumers.length), 1)
      if (unlucky === undefined) continue
      if (!unlucky.client.isRunning) throw new Error(`a consumer has ended: ${unlucky.client.stderr}`)
      // What it had is delivered again before this process hears of its end.
      this.#clientKills.set(unlucky.number, now())
      await unlucky.client.end('SIGKILL')
      consumers.push(this.#start('consume', 0))
    }
  }

  #start(role: 'produce' | 'consume', part: number): Client {
    const { messages, keys, seconds } = this.#options
    const number = this.#ledgers.length
    const ledger = join(this.#cluster.directory, `ledger-${number}`)
    this.#ledgers.push(ledger)
    const share = Math.ceil(keys / PRODUCERS)
    const task = {
      role,
      addresses: this.#cluster.addresses,
      ledger,
      firstKey: part * share,
      keys: share,
      messages: Math.ceil(messages / (share * PRODUCERS)),
      seconds,
    }
    return { number, client: new OsProcess(process.execPath, [CLIENT, JSON.stringify(task)]) }
  }

  /** Until nothing waits, is held or comes later. */
  async #drain(): Promise<void> {
    await this.#cluster.healthy()
    const queue = (await this.#cluster.client()).queue(work)
    await until(async () => {
      const { waiting, delayed, leased } = await queue.stats({ timeout: 5_000 })
      return waiting + delayed + leased === 0
    }, DRAIN_MS)
  }

  #check(): Findings {
    const incidents = { clientKills: this.#clientKills, nodeKills: this.#nodeKills }
    const findings = new Findings()
    for (const events of new LedgerFiles(this.#ledgers).keys()) checkKey(events, incidents, findings)
    return findings
  }
}

interface Client {
  /** Its place among the ledgers. */
  readonly number: number
  readonly client: OsProcess
}

/** Resolves when the client has ended in order. */
async function finished(client: OsProcess, signal?: 'SIGTERM'): Promise<void> {
  const { code, stdout, stderr } = await (signal === undefined ? client.ended : client.end(signal))
  if (code !== 0 || !stdout.includes('done')) throw new Error(`a client ended with ${code}: ${stderr}`)
}
