import { describe, expect, test } from 'vitest'
import { ByteReader } from '../../../../src/base/bytes.ts'
import { STATUS } from '../../../../src/machine/command.ts'
import { attachPart, fencePart, LEASE_COMMAND } from '../../../../src/machine/lease/command.ts'
import { LeaseTable } from '../../../../src/machine/lease/lease.ts'
import type { Task } from '../../../../src/machine/table.ts'
import type { Part } from '../../../../src/machine/transaction.ts'
import { bytes, neighbours } from '../operations.ts'
import { acquiring, granting, lettingGo, part, revokePart } from './operations.ts'

const DAY = 86_400_000_000
const LIMITS = { leases: 4, claims: 5, waitersOfLock: 2, attachedKeys: 2, fences: 2 }

function tableWith(...leases: number[]): LeaseTable {
  const table = new LeaseTable(neighbours(), LIMITS)
  for (const lease of leases) run(table, part(granting(lease)))
  return table
}

function taskOf({ kind, encode }: Part, time: number): Task {
  const body = bytes(encode)
  return { kind, reader: new ByteReader(body), end: body.length, time, outcome: { status: 0, revision: 0 }, level: 1 }
}

function run(table: LeaseTable, command: Part, time = 1): number {
  const task = taskOf(command, time)
  table.run(task)
  return task.outcome.status
}

/** As a transaction of its own. */
function transact(table: LeaseTable, command: Part, time = 1): number {
  const task = taskOf(command, time)
  table.check(task)
  if (task.outcome.status === STATUS.ok) table.apply(taskOf(command, time))
  return task.outcome.status
}

const acquire = (lock: string, lease: number) => part(acquiring(lock, lease))

describe('beyond its limits a shard refuses', () => {
  test('leases, until one ends', () => {
    const table = tableWith(1, 2, 3, 4)
    expect(run(table, part(granting(5)))).toBe(STATUS.full)
    expect(run(table, revokePart(2))).toBe(STATUS.ok)
    expect(run(table, part(granting(5)))).toBe(STATUS.ok)
  })

  test('those who wait for one lock', () => {
    const table = tableWith(1, 2, 3, 4)
    const statuses = [1, 2, 3, 4].map((lease) => run(table, acquire('l', lease)))
    expect(statuses).toEqual([STATUS.ok, STATUS.waiting, STATUS.waiting, STATUS.full])
    expect(run(table, acquire('l', 3))).toBe(STATUS.waiting)
  })

  test('holds and places, until one is given up', () => {
    const table = tableWith(1)
    const statuses = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => run(table, acquire(name, 1)))
    expect(statuses).toEqual([...Array.from({ length: 5 }, () => STATUS.ok), STATUS.full])
    expect(run(table, part(lettingGo('a', 1)))).toBe(STATUS.ok)
    expect(run(table, acquire('f', 1))).toBe(STATUS.ok)
  })

  test('locks that are shut, as well', () => {
    const table = tableWith(1)
    for (const name of ['a', 'b', 'c', 'd', 'e']) run(table, part(acquiring(name, 1, { delayMs: 1000 })))
    run(table, { ...revokePart(1), kind: LEASE_COMMAND.leaseExpire })
    run(table, part(granting(1)))
    expect(run(table, acquire('f', 1))).toBe(STATUS.full)
    table.advance(table.dueAt)
    expect(run(table, acquire('f', 1))).toBe(STATUS.ok)
  })

  test('attached keys, but not a new owner for one', () => {
    const table = tableWith(1, 2)
    const attach = (key: string, lease: number) => run(table, attachPart('m', key, lease))
    expect([attach('a', 1), attach('b', 1), attach('c', 1), attach('b', 2)]).toEqual([
      STATUS.ok,
      STATUS.ok,
      STATUS.full,
      STATUS.ok,
    ])
  })
})

test('a fence is never forgotten within a day: new names are refused rather', () => {
  const table = tableWith()
  const fence = (name: string, token: number, time: number) => transact(table, fencePart(name, token, false), time)
  expect([fence('a', 5, 1), fence('b', 5, 1), fence('c', 5, 1)]).toEqual([STATUS.ok, STATUS.ok, STATUS.overloaded])
  expect(fence('a', 6, DAY / 2)).toBe(STATUS.ok)
  expect(fence('c', 5, DAY)).toBe(STATUS.overloaded)
  expect(fence('c', 5, DAY + 1_000_001)).toBe(STATUS.ok)
  expect([fence('a', 5, DAY + 1_000_002), fence('d', 1, DAY + 1_000_002)]).toEqual([STATUS.fenced, STATUS.overloaded])
})
