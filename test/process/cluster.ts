/** A process cluster is three nodes as a user starts them: each an OS process with a directory, which can be killed and started again. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ClusterStatus } from '../../src/driver/contract.ts'
import { open } from '../../src/platform/open.ts'
import type { Troupe } from '../../src/runtime/troupe.ts'
import { endAll, freePorts, main, OsProcess, until } from './os-process.ts'

export class ProcessCluster {
  readonly names: readonly string[]
  readonly addresses: readonly string[]
  readonly directory: string
  readonly #processes = new Map<string, OsProcess>()
  readonly #clients: Troupe[] = []

  private constructor(addresses: readonly string[]) {
    this.addresses = addresses
    this.names = addresses.map((_, at) => `n${at + 1}`)
    this.directory = mkdtempSync(join(tmpdir(), 'troupe-cluster-'))
  }

  /** Starts three nodes and waits until every group has a leader. */
  static async start(): Promise<ProcessCluster> {
    const ports = await freePorts(3)
    const cluster = new ProcessCluster(ports.map((port) => `127.0.0.1:${port}`))
    await Promise.all(cluster.names.map((name) => cluster.startNode(name)))
    await cluster.healthy()
    return cluster
  }

  addressOf(name: string): string {
    return this.addresses[this.names.indexOf(name)] ?? ''
  }

  directoryOf(name: string): string {
    return join(this.directory, name)
  }

  process(name: string): OsProcess {
    const found = this.#processes.get(name)
    if (found === undefined) throw new Error(`${name} was not started`)
    return found
  }

  /** Resolves when the node listens. */
  async startNode(name: string, patienceMs?: number): Promise<void> {
    const place = [
      '--node',
      name,
      '--cluster',
      'test',
      '--listen',
      this.addressOf(name),
      '--data-dir',
      this.directoryOf(name),
    ]
    const started = new OsProcess(process.execPath, [main, 'start', ...place, '--join', this.addresses.join(',')])
    this.#processes.set(name, started)
    await started.says('listens on', patienceMs)
  }

  async client(addresses: readonly string[] = this.addresses): Promise<Troupe> {
    const client = await open({ connect: addresses })
    this.#clients.push(client)
    return client
  }

  /** What the first node that answers says once all nodes are up and every group has a leader that is. */
  async healthy(patienceMs = 20_000): Promise<ClusterStatus> {
    const watcher = await this.client()
    let status: ClusterStatus | undefined
    await until(async () => {
      status = await watcher.status({ timeout: 1_000 }).catch(() => undefined)
      return status !== undefined && isHealthy(status, this.names.length)
    }, patienceMs)
    await watcher.close()
    if (status === undefined) throw new Error('a healthy cluster has a status')
    return status
  }

  /** Ends clients and nodes, and removes the data. */
  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()))
    await endAll()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

function isHealthy({ members, groups }: ClusterStatus, size: number): boolean {
  const up = members.filter((member) => member.state === 'up').map((member) => member.node)
  if (up.length < size || groups.length < 2) return false
  return groups.every(({ leader }) => leader !== undefined && up.includes(leader))
}
