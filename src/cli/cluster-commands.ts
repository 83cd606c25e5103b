/** The cluster commands say who is there, who leads what, and where a key lives. */

import type { ClusterStatus, GroupStatus } from '../driver/contract.ts'
import { HashSharding } from '../sharding/hash.ts'
import { CLIENT_FLAGS, callOptions, withClient } from './client-command.ts'
import type { Command, Terminal } from './command.ts'
import type { CommandLine } from './command-line.ts'
import { EXIT } from './failure.ts'
import { columns, json } from './text.ts'

const status: Command = {
  name: 'status',
  summary: 'members, groups and leaders',
  parameters: [],
  flags: CLIENT_FLAGS,
  examples: [
    ['troupe status', 'as the first node that answers sees it'],
    ['troupe status --connect 127.0.0.1:7402', 'as this node sees it'],
    ['troupe status --json', 'for programs'],
  ],
  notes: [
    'A group is the replicas that share one log; each shard of the keys belongs to one, and "meta" keeps the cluster itself.',
    'The level is what all nodes have agreed that they can execute: it rises once the last of them has been upgraded.',
  ],
  run: (line, terminal) => withStatus(line, terminal, (found) => printStatus(found, line, terminal)),
}

const members: Command = {
  name: 'members',
  summary: 'the nodes and whether they are up',
  parameters: [],
  flags: CLIENT_FLAGS,
  examples: [
    ['troupe members', 'a line for each node'],
    ['troupe members --json', 'one JSON document'],
  ],
  notes: ['A generation counts how often a node has started.'],
  run: (line, terminal) => withStatus(line, terminal, (found) => printMembers(found, line, terminal)),
}

const where: Command = {
  name: 'where',
  summary: 'the shard, replicas and leader of a key',
  parameters: ['KEY'],
  flags: {
    map: { value: 'MAP', help: "the key's map; keys of different maps live in different shards" },
    ...CLIENT_FLAGS,
  },
  examples: [
    ['troupe where ann --map users', 'which node leads it, and which others hold it'],
    ['troupe where ann --map users --json', 'for programs'],
  ],
  notes: ['The key need not exist: its place follows from its name.'],
  run: (line, terminal) => {
    if (line.text('map') === undefined) throw line.wrong("'where' needs --map MAP: the key's place depends on its map")
    return withStatus(line, terminal, (found) => printPlace(found, line, terminal))
  },
}

export const CLUSTER_COMMANDS: readonly Command[] = [status, members, where]

function withStatus(
  line: CommandLine,
  terminal: Terminal,
  use: (found: ClusterStatus) => Promise<number>,
): Promise<number> {
  return withClient(line, terminal, async (client) => use(await client.status(callOptions(line))))
}

async function printStatus(found: ClusterStatus, line: CommandLine, terminal: Terminal): Promise<number> {
  if (line.has('json')) {
    await terminal.print(json(found))
    return EXIT.done
  }
  const up = found.members.filter((member) => member.state === 'up').length
  const level = found.level === undefined ? '' : `, level ${found.level}`
  const node = found.answeredBy ?? 'the driver'
  await terminal.print(`cluster ${found.cluster}: ${up} of ${found.members.length} nodes up${level} (says ${node})`)
  if (found.mendedPieces > 0) {
    const pieces = `${found.mendedPieces} damaged pieces of large payloads came back from other nodes`
    await terminal.print(`${pieces}: look at the disk of ${node}`)
  }
  await terminal.print(`\n${memberTable(found)}\n\n${groupTable(found.groups)}`)
  return EXIT.done
}

async function printMembers(found: ClusterStatus, line: CommandLine, terminal: Terminal): Promise<number> {
  await terminal.print(line.has('json') ? json({ cluster: found.cluster, members: found.members }) : memberTable(found))
  return EXIT.done
}

function memberTable({ members: all, groups }: ClusterStatus): string {
  const rows = all.map(({ node, address, state, generation }) => {
    const leads = groups.filter((group) => group.leader === node).length
    return [node, address, state, String(generation), String(leads)]
  })
  return columns([['NODE', 'ADDRESS', 'STATE', 'GENERATION', 'LEADS'], ...rows])
}

function groupTable(groups: readonly GroupStatus[]): string {
  const rows = groups.map((group) => [
    String(group.group),
    String(group.shard),
    group.leader ?? '(none)',
    String(group.term),
    `${group.appliedIndex}/${group.commitIndex}/${group.lastIndex}`,
    group.replicas.join(' '),
  ])
  return columns([['GROUP', 'SHARD', 'LEADER', 'TERM', 'APPLIED/COMMITTED/LAST', 'REPLICAS'], ...rows])
}

async function printPlace(found: ClusterStatus, line: CommandLine, terminal: Terminal): Promise<number> {
  const map = line.text('map') ?? ''
  const key = line.parameter(0)
  const shards = found.groups.filter((group) => group.shard !== 'meta').length
  const shard = shards === 0 ? 0 : new HashSharding(shards).shardOf(map, key)
  const group = found.groups.find((candidate) => candidate.shard === shard)
  const leader = found.members.find((member) => member.node === group?.leader)
  const place = {
    map,
    key,
    shard,
    group: group?.group,
    leader: group?.leader,
    address: leader?.address,
    replicas: group?.replicas ?? [],
  }
  if (line.has('json')) await terminal.print(json(place))
  else {
    const led =
      leader === undefined
        ? '(none: an election is under way, or a majority is down)'
        : `${leader.node} at ${leader.address}`
    await terminal.print(
      columns([
        ['key', `${key} in ${map}`],
        ['shard', String(shard)],
        ['group', String(group?.group ?? '(unknown)')],
        ['leader', led],
        ['replicas', place.replicas.join(', ')],
      ]),
    )
  }
  return EXIT.done
}
