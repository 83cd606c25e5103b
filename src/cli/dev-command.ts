/** The dev command runs a cluster of three nodes on this machine, each an OS process that may be killed and comes back. */

import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ClusterStatus } from '../driver/contract.ts'
import { DEFAULT_CONNECT, HELP_FLAG } from './client-command.ts'
import type { Client, Command, Terminal } from './command.ts'
import type { CommandLine } from './command-line.ts'
import { devPorts } from './dev-ports.ts'
import { EXIT } from './failure.ts'
import { type Ending, NodeProcess } from './node-process.ts'
import { columns, json } from './text.ts'

const NODES = ['n1', 'n2', 'n3']
const RESTART_AFTER_MS = 1_000
const DRAIN_PATIENCE_MS = 30_000
const LEADERS_PATIENCE_MS = 30_000
const POLL_MS = 50

export const DEV_COMMAND: Command = {
  name: 'dev',
  summary: 'three nodes on this machine',
  parameters: [],
  flags: {
    'data-dir': { value: 'PATH', help: 'where the nodes keep their data; default .troupe' },
    json: { help: 'print what happens as JSON, one event a line' },
    ...HELP_FLAG,
  },
  examples: [
    ['troupe dev', 'start, or go on with the data of last time'],
    ['troupe dev --data-dir /tmp/try', 'a cluster of its own'],
  ],
  notes: [
    `The nodes listen on 127.0.0.1:7401, 7402 and 7403, or the next ports that are free; a data directory keeps the ports it began with.
Writes are on the disks of two nodes before they are acknowledged. A node that dies, for example by kill -9, is started again
after a second. Ctrl-C drains all three. To begin anew, stop it and remove the data directory.`,
  ],
  run: dev,
}

async function dev(line: CommandLine, terminal: Terminal): Promise<number> {
  const stop = terminal.interruption()
  const directory = line.text('data-dir') ?? '.troupe'
  const addresses = (await devPorts(directory, NODES.length)).map((port) => `127.0.0.1:${port}`)
  const nodes = NODES.map((name, at) => {
    const place = { name, address: addresses[at] ?? '', directory: join(directory, name) }
    return new NodeProcess(place, addresses, (text) => terminal.complain(text))
  })
  try {
    const endings = await Promise.all(nodes.map((node) => node.start()))
    const failed = endings.find((ending) => ending !== undefined)
    if (failed !== undefined) return failed.exitCode ?? EXIT.failed
    const show = new Announcer(terminal, nodes, line.has('json'))
    const client = await terminal.connect(addresses)
    try {
      const status = await allLed(client, () => true, stop)
      if (!stop.aborted) await show.formed(status, directory)
      await Promise.all(nodes.map((node) => keepAlive(node, client, show, stop)))
    } finally {
      await client.close()
    }
  } finally {
    // One after the other: nodes that end at once would hand their leaderships to each other.
    for (const node of nodes) await node.stop(DRAIN_PATIENCE_MS)
  }
  return EXIT.done
}

/** Starts a node again whenever it ends, until the user stops the cluster. */
async function keepAlive(node: NodeProcess, client: Client, show: Announcer, stop: AbortSignal): Promise<void> {
  const stopped = new Promise<undefined>((resolve) => {
    if (stop.aborted) resolve(undefined)
    stop.addEventListener('abort', () => resolve(undefined), { once: true })
  })
  for (;;) {
    const ending = await Promise.race([node.ended, stopped])
    if (ending === undefined || stop.aborted) return
    const endedAt = performance.now()
    await show.ended(node, ending)
    const others = allLed(client, (leader) => leader !== node.place.name, stop)
    const led = others.then((status) => show.ledAgain(status, performance.now() - endedAt))
    await sleep(RESTART_AFTER_MS, undefined, { signal: stop }).catch(() => undefined)
    if (stop.aborted) return
    const failed = await node.start()
    await led
    await (failed === undefined ? show.restarted(node) : show.staysDown(node, failed))
    if (failed !== undefined) return
  }
}

/** The status once every group has a leader that `fits`; undefined when that takes too long or the user stops the cluster. */
async function allLed(
  client: Client,
  fits: (leader: string) => boolean,
  stop: AbortSignal,
): Promise<ClusterStatus | undefined> {
  const end = performance.now() + LEADERS_PATIENCE_MS
  while (performance.now() < end && !stop.aborted) {
    const status = await client.status({ timeout: 1_000 }).catch(() => undefined)
    const isLed = status?.groups.every(({ leader }) => leader !== undefined && fits(leader))
    if (status !== undefined && status.groups.length > 1 && isLed === true) return status
    await sleep(POLL_MS)
  }
  return undefined
}

/** Tells the user, or a program, what happens. */
class Announcer {
  readonly #terminal: Terminal
  readonly #nodes: readonly NodeProcess[]
  readonly #asJson: boolean

  constructor(terminal: Terminal, nodes: readonly NodeProcess[], asJson: boolean) {
    this.#terminal = terminal
    this.#nodes = nodes
    this.#asJson = asJson
  }

  formed(status: ClusterStatus | undefined, directory: string): Promise<void> {
    const nodes = this.#nodes.map(({ place, pid }) => ({
      node: place.name,
      address: place.address,
      pid,
      leads: leads(status, place.name),
    }))
    if (status === undefined) {
      return this.#say(
        'unready',
        { nodes },
        'The nodes run, but not every group has found a leader yet; see the status.',
      )
    }
    const table = columns(
      nodes.map((node) => [
        `  ${node.node}`,
        node.address,
        `pid ${node.pid}`,
        `leads ${node.leads} of ${status.groups.length} groups`,
      ]),
    )
    const text = `Three nodes on this machine, data in ${directory}:\n\n${table}\n\n${this.#whatToTry()}`
    return this.#say('ready', { nodes }, text)
  }

  ended(node: NodeProcess, { how }: Ending): Promise<void> {
    const { name } = node.place
    return this.#say(
      'ended',
      { node: name, pid: node.pid, how },
      `${name} (pid ${node.pid}) ${how}; it starts again in a second`,
    )
  }

  async ledAgain(status: ClusterStatus | undefined, elapsedMs: number): Promise<void> {
    if (status === undefined) return
    const counts = this.#nodes
      .map(({ place }) => [place.name, leads(status, place.name)] as const)
      .filter(([, count]) => count > 0)
    const text = counts.map(([name, count]) => `${name} leads ${count}`).join(', ')
    await this.#say(
      'led',
      { ms: Math.round(elapsedMs), leads: Object.fromEntries(counts) },
      `every group has a leader after ${(elapsedMs / 1000).toFixed(2)} s: ${text}`,
    )
  }

  restarted(node: NodeProcess): Promise<void> {
    return this.#say(
      'restarted',
      { node: node.place.name, pid: node.pid },
      `${node.place.name} is back (pid ${node.pid})`,
    )
  }

  staysDown(node: NodeProcess, { how }: Ending): Promise<void> {
    const text = `${node.place.name} ${how} and stays down; its last words are above. Ctrl-C and start anew once that is mended.`
    return this.#say('down', { node: node.place.name, how }, text)
  }

  #whatToTry(): string {
    const addresses = this.#nodes.map(({ place }) => place.address)
    const isDefault = addresses.every((address, at) => address === DEFAULT_CONNECT[at])
    const connect = isDefault ? '' : ` --connect ${addresses.join(',')}`
    const command = howToCall()
    const rows = [
      [`  ${command} map set greetings hello Hi${connect}`, 'write'],
      [`  ${command} where hello --map greetings${connect}`, 'which node leads it'],
      ['  kill -9 PID', 'of that node: it is listed above'],
      [`  ${command} map get greetings hello${connect}`, 'read it back'],
      [`  ${command} status${connect}`, 'who leads what now'],
      [`  ${command} queue send emails hello${connect}`, 'a message, kept until it is done'],
      [`  ${command} queue work emails${connect} -- cat`, 'run a command for each'],
    ]
    return `Try in a second terminal:\n\n${columns(rows)}\n\nCtrl-C ends them. What follows is what happens to the nodes.\n`
  }

  #say(event: string, facts: object, text: string): Promise<void> {
    return this.#terminal.print(this.#asJson ? json({ event, ...facts }) : text)
  }
}

function leads(status: ClusterStatus | undefined, node: string): number {
  return status?.groups.filter((group) => group.leader === node).length ?? 0
}

/** What to type for `troupe` here: in a checkout of Troupe itself there is no installed command. */
function howToCall(): string {
  const main = relative(process.cwd(), fileURLToPath(new URL('./main.js', import.meta.url)))
  return main.includes('node_modules') || main.startsWith('..') ? 'npx troupe' : `node ${main}`
}
