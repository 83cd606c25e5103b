import { describe, expect, test } from 'vitest'
import { SeededRandom } from '../../../../src/base/random.ts'
import {
  complete,
  History,
  type Operation,
  type RegisterCall,
  type RegisterReply,
} from '../../../../src/simulation/check/history.ts'
import { checkLinearizable } from '../../../../src/simulation/check/linearizability.ts'

/** Operations as `[invoked, returned, call, reply]`; no return means that the outcome is unknown. */
type Row = readonly [number, number | undefined, RegisterCall, RegisterReply?]

const get: RegisterCall = { type: 'get' }
const set = (value: string, expected?: number): RegisterCall => ({ type: 'set', value, expected })
const del = (expected?: number): RegisterCall => ({ type: 'delete', expected })
const saw = (value: string, revision: number): RegisterReply => ({ type: 'present', value, revision })
const absent: RegisterReply = { type: 'absent' }
const wrote = (revision: number): RegisterReply => ({ type: 'written', revision })
const deleted = (revision: number, existed = true): RegisterReply => ({ type: 'deleted', revision, existed })
const conflict = (revision: number): RegisterReply => ({ type: 'conflict', revision })

function history(rows: readonly Row[], key = 'x'): Operation[] {
  const written = new History()
  rows.forEach(([invoked, returned, call, reply], client) => {
    const operation = written.invoke(client, key, call, invoked)
    if (returned !== undefined && reply !== undefined) complete(operation, reply, returned)
  })
  return written.operations
}

const verdictOf = (rows: readonly Row[]): string => checkLinearizable(history(rows)).verdict

describe('a linearizable history', () => {
  const good: Record<string, readonly Row[]> = {
    'is empty': [],
    'reads nothing before the first write': [[0, 1, get, absent]],
    'reads what was written': [
      [0, 1, set('a'), wrote(5)],
      [2, 3, get, saw('a', 5)],
    ],
    'lets concurrent reads see old and new in the order of the write': [
      [0, 1, set('a'), wrote(5)],
      [2, 9, set('b'), wrote(6)],
      [3, 4, get, saw('a', 5)],
      [5, 6, get, saw('b', 6)],
    ],
    'may see a write before it returns': [
      [0, 10, set('a'), wrote(5)],
      [1, 2, get, saw('a', 5)],
    ],
    'may show a write of unknown outcome long after': [
      [0, 1, set('a'), wrote(5)],
      [2, undefined, set('b')],
      [10, 11, get, saw('a', 5)],
      [100, 101, get, saw('b', 9)],
    ],
    'may never show a write of unknown outcome': [
      [0, 1, set('a'), wrote(5)],
      [2, undefined, set('b')],
      [10, 11, get, saw('a', 5)],
      [100, 101, get, saw('a', 5)],
    ],
    'may let a delete of unknown outcome happen late': [
      [0, 1, set('a'), wrote(5)],
      [2, undefined, del()],
      [3, 4, get, saw('a', 5)],
      [5, 6, get, absent],
    ],
    'lets one of two concurrent compare-and-sets win': [
      [0, 1, set('a'), wrote(5)],
      [2, 9, set('b', 5), wrote(6)],
      [3, 8, set('c', 5), conflict(6)],
    ],
    'explains a conflict by a write of unknown outcome that nobody read': [
      [0, 1, set('a'), wrote(5)],
      [2, undefined, set('b')],
      [3, 4, set('c', 5), conflict(7)],
    ],
    'creates only where nothing is': [
      [0, 1, set('a', 0), wrote(5)],
      [2, 3, set('b', 0), conflict(5)],
      [4, 5, del(5), deleted(6)],
      [6, 7, set('c', 0), wrote(7)],
    ],
    'deletes nothing where nothing is': [
      [0, 1, del(), deleted(3, false)],
      [2, 3, get, absent],
    ],
    'shows a delete that overtook an unread write of unknown outcome': [
      [0, undefined, set('a')],
      [1, 2, del(), deleted(7)],
    ],
  }
  for (const [name, rows] of Object.entries(good)) test(name, () => expect(verdictOf(rows)).toBe('linearizable'))
})

describe('a history is refuted when', () => {
  const bad: Record<string, readonly Row[]> = {
    'a read is stale': [
      [0, 1, set('a'), wrote(5)],
      [2, 3, set('b'), wrote(6)],
      [4, 5, get, saw('a', 5)],
    ],
    'a read misses a finished write': [
      [0, 1, set('a'), wrote(5)],
      [2, 3, get, absent],
    ],
    'a read shows a value that nobody wrote': [[0, 1, get, saw('a', 5)]],
    'a read shows the future': [
      [0, 1, get, saw('a', 5)],
      [2, 3, set('a'), wrote(5)],
    ],
    'reads go back': [
      [0, 1, set('a'), wrote(5)],
      [2, 9, set('b'), wrote(6)],
      [3, 4, get, saw('b', 6)],
      [5, 6, get, saw('a', 5)],
    ],
    'an update is lost: two compare-and-sets win': [
      [0, 1, set('a'), wrote(5)],
      [2, 9, set('b', 5), wrote(6)],
      [3, 8, set('c', 5), wrote(7)],
    ],
    'two leaders accept writes and each serves its own': [
      [0, 1, set('a'), wrote(5)],
      [2, 3, set('b'), wrote(6)],
      [4, 5, get, saw('b', 6)],
      [6, 7, get, saw('a', 5)],
      [8, 9, get, saw('b', 6)],
    ],
    'a write of unknown outcome is seen, then gone': [
      [0, 1, set('a'), wrote(5)],
      [2, undefined, set('b')],
      [3, 4, get, saw('b', 6)],
      [5, 6, get, saw('a', 5)],
    ],
    'a write of unknown outcome is seen before its invocation': [
      [0, 1, get, saw('a', 5)],
      [2, undefined, set('a')],
    ],
    'a write happens twice': [
      [0, 1, set('a'), wrote(5)],
      [2, 3, set('b'), wrote(6)],
      [4, 5, get, saw('a', 7)],
    ],
    'a conflict names a revision that was not there': [
      [0, 1, set('a'), wrote(5)],
      [2, 3, set('b'), wrote(6)],
      [4, 5, set('c', 9), conflict(5)],
    ],
    'a compare-and-set is refused though its revision was there': [
      [0, 1, set('a'), wrote(5)],
      [2, 3, set('b', 5), conflict(5)],
    ],
    'a revision goes back': [
      [0, 1, set('a'), wrote(5)],
      [2, 3, set('b'), wrote(4)],
    ],
    'one value has two revisions': [
      [0, 1, set('a'), wrote(5)],
      [2, 3, get, saw('a', 6)],
    ],
    'a delete finds what was not there': [[0, 1, del(), deleted(3)]],
    'a delete misses what was there': [
      [0, 1, set('a'), wrote(2)],
      [2, 3, del(), deleted(3, false)],
    ],
    'a deleted value comes back': [
      [0, 1, set('a'), wrote(2)],
      [2, 3, del(), deleted(3)],
      [4, 5, get, saw('a', 2)],
    ],
  }
  for (const [name, rows] of Object.entries(bad)) test(name, () => expect(verdictOf(rows)).toBe('not-linearizable'))
})

test('keys are checked each for itself, and the guilty one is named', () => {
  const operations = [
    ...history(
      [
        [0, 1, set('a'), wrote(5)],
        [2, 3, get, saw('a', 5)],
      ],
      'good',
    ),
    ...history(
      [
        [0, 1, set('b'), wrote(5)],
        [2, 3, get, absent],
      ],
      'bad',
    ),
  ]
  expect(checkLinearizable(operations)).toMatchObject({
    verdict: 'not-linearizable',
    key: 'bad',
    stuck: { explained: 1 },
  })
})

test('a search that meets its bound says so', () => {
  expect(
    checkLinearizable(
      history([
        [0, 1, set('a'), wrote(5)],
        [2, 3, get, saw('a', 5)],
      ]),
      { stepLimit: 1 },
    ),
  ).toMatchObject({
    verdict: 'gave-up',
  })
})

test('agrees with trying every order on thousands of small histories, half of them altered', () => {
  const random = new SeededRandom(7)
  const verdicts = { linearizable: 0, 'not-linearizable': 0 }
  for (let round = 0; round < 8000; round++) {
    const unknown = round % 4 < 2 ? 0.25 : 0.6
    const operations = randomHistory(random, { operations: 2 + random.below(6), clients: 4, unknown })
    if (round % 2 === 1) alter(random, operations)
    const expected = someOrderExplains(operations) ? 'linearizable' : 'not-linearizable'
    const { verdict } = checkLinearizable(operations)
    if (verdict !== expected)
      throw new Error(`${verdict} instead of ${expected}: ${JSON.stringify(operations, null, 1)}`)
    verdicts[expected]++
  }
  expect(verdicts.linearizable).toBeGreaterThan(3000)
  expect(verdicts['not-linearizable']).toBeGreaterThan(1000)
})

test('checks 100,000 operations on 100 keys, one in twenty unknown', () => {
  const random = new SeededRandom(11)
  const operations: Operation[] = []
  for (let key = 0; key < 100; key++) {
    operations.push(...randomHistory(random, { operations: 1000, clients: 5, unknown: 0.05, key: `k${key}` }))
  }
  expect(checkLinearizable(operations).verdict).toBe('linearizable')
}, 20_000)

test('decides a key of which every third outcome is unknown: what may have happened multiplies no orders', () => {
  const random = new SeededRandom(13)
  for (let round = 0; round < 20; round++) {
    const operations = randomHistory(random, { operations: 600, clients: 12, unknown: 0.35 })
    expect(checkLinearizable(operations, { stepLimit: 100_000 }).verdict).toBe('linearizable')
  }
}, 20_000)

interface Shape {
  readonly operations: number
  readonly clients: number
  readonly unknown: number
  readonly key?: string
}

/** A history that a real register produced, each operation at a random instant of its interval. */
function randomHistory(random: SeededRandom, shape: Shape): Operation[] {
  const written = new History()
  const freeAt = Array.from({ length: shape.clients }, () => 0)
  let present: { value: string; revision: number } | undefined
  let revision = 0
  const revisions = [0]
  const planned = Array.from({ length: shape.operations }, (_, at) => {
    const client = random.below(shape.clients)
    const invoked = (freeAt[client] ?? 0) + random.below(5)
    const happens = invoked + random.below(8)
    const returned = happens + random.below(8)
    freeAt[client] = returned + 1
    return {
      client,
      invoked,
      happens,
      returned,
      value: `${shape.key ?? ''}v${at}`,
      unknown: random.next() < shape.unknown,
    }
  })
  planned.sort((a, b) => a.happens - b.happens)
  for (const plan of planned) {
    const expected = random.next() < 0.4 ? (revisions[random.below(revisions.length)] ?? 0) : undefined
    const kind = random.below(10)
    const call: RegisterCall = kind < 4 ? get : kind < 8 ? set(plan.value, expected) : del(expected)
    const operation = written.invoke(plan.client, shape.key ?? 'x', call, plan.invoked)
    if (plan.unknown && random.next() < 0.5) continue
    const reply = execute(call)
    if (!plan.unknown) complete(operation, reply, plan.returned)
  }
  return written.operations

  function execute(call: RegisterCall): RegisterReply {
    if (call.type === 'get') return present === undefined ? absent : saw(present.value, present.revision)
    const current = present?.revision ?? 0
    if (call.expected !== undefined && call.expected !== current) return conflict(current)
    if (call.type === 'delete' && present === undefined) return deleted(revision, false)
    revision += 1 + random.below(3)
    present = call.type === 'set' ? { value: call.value, revision } : undefined
    revisions.push(revision)
    if (revisions.length > 4) revisions.shift()
    return call.type === 'set' ? wrote(revision) : deleted(revision)
  }
}

/** Changes one reply or one instant, which may or may not break the history. */
function alter(random: SeededRandom, operations: Operation[]): void {
  const known = operations.filter((operation) => operation.outcome === 'ok')
  const victim = known[random.below(known.length)]
  const donor = known[random.below(known.length)]
  if (victim === undefined || donor === undefined) return
  if (random.next() < 0.3) victim.returnedAt = victim.invokedAt
  else if (victim.call.type === 'get' && donor.reply?.type === 'present') victim.reply = donor.reply
  else if (victim.call.type === 'get') victim.reply = absent
  else if (victim.call.expected !== undefined)
    victim.reply = victim.reply?.type === 'conflict' ? wrote(50) : conflict(random.below(9))
  else if (victim.reply?.type === 'deleted') victim.reply = deleted(victim.reply.revision, !victim.reply.existed)
  else if (victim.reply?.type === 'written') victim.reply = wrote(random.below(12) + 1)
}

interface Cell {
  readonly value: string | undefined
  /** Undefined: written by an operation whose revision nobody learned. */
  readonly revision: number | undefined
  readonly floor: number
}

/** The definition itself: some subset of the unknown operations, in some order that respects time, explains every reply. */
function someOrderExplains(all: readonly Operation[]): boolean {
  const operations = all.filter(({ outcome, call }) => outcome === 'ok' || call.type !== 'get')
  const learned = new Map<string, number>()
  for (const { reply } of operations)
    if (reply?.type === 'present' && !learned.has(reply.value)) learned.set(reply.value, reply.revision)
  const revisionOf = ({ call, reply }: Operation): number | undefined => {
    if (reply?.type === 'written' || reply?.type === 'deleted') return reply.revision
    return call.type === 'set' && reply === undefined ? learned.get(call.value) : undefined
  }
  const known = operations.map(revisionOf)
  return search(new Set(operations), { value: undefined, revision: 0, floor: 0 })

  function search(open: Set<Operation>, cell: Cell): boolean {
    if ([...open].every((operation) => operation.outcome !== 'ok')) return true
    const choices = [...open]
    for (const operation of choices) {
      if ([...open].some((other) => other !== operation && other.returnedAt < operation.invokedAt)) continue
      const after = outcome(operation, cell)
      if (after === undefined) continue
      open.delete(operation)
      const found = search(open, after)
      open.add(operation)
      if (found) return true
    }
    return false
  }

  function matches(cell: Cell, revision: number): boolean {
    if (revision === 0) return cell.value === undefined
    if (cell.value === undefined) return false
    return cell.revision === undefined ? !known.includes(revision) : cell.revision === revision
  }

  function outcome(operation: Operation, cell: Cell): Cell | undefined {
    const { call, reply } = operation
    if (reply?.type === 'absent') return cell.value === undefined ? cell : undefined
    if (reply?.type === 'present')
      return cell.value === reply.value && cell.revision === reply.revision ? cell : undefined
    if (call.type === 'get') return undefined
    if (reply?.type === 'conflict') {
      return call.expected !== undefined && call.expected !== reply.revision && matches(cell, reply.revision)
        ? cell
        : undefined
    }
    if (call.expected !== undefined && !matches(cell, call.expected)) return undefined
    const revision = revisionOf(operation)
    const noop = call.type === 'delete' && cell.value === undefined
    if (reply?.type === 'deleted' && reply.existed === noop) return undefined
    if (revision !== undefined && (noop ? revision < cell.floor : revision <= cell.floor)) return undefined
    if (noop) return cell
    return { value: call.type === 'set' ? call.value : undefined, revision, floor: revision ?? cell.floor }
  }
}
