import { expect, test } from 'vitest'
import { ByteReader } from '../../../src/base/bytes.ts'
import { Source } from '../../../src/cluster/source.ts'
import { Watches } from '../../../src/cluster/watches.ts'
import type { Machine } from '../../../src/machine/machine.ts'
import { readWatchEvent } from '../../../src/wire/request.ts'

const REQUEST = { map: 'm', from: '', until: '', revision: 0, creditBytes: 1000 }

/** A machine in which something happens that concerns nobody, and that counts who looks. */
function machine() {
  let looks = 0
  const one = {
    revision: 1,
    changes: {
      after() {
        looks++
        return { compacted: false, through: one.revision, count: 0, changes: new Uint8Array(0) }
      },
    },
  }
  return { one, machine: one as unknown as Machine, looks: () => looks }
}

test('the watches of a source that closes end with it', () => {
  const { one, machine: watched, looks } = machine()
  const watches = new Watches(watched)
  const [stays, goes] = [1, 2].map(() => new Source(false, () => true, []))
  for (const [id, source] of [stays, goes, goes].entries()) if (source !== undefined) watches.open(source, id, REQUEST)
  if (goes !== undefined) watches.sourceClosed(goes)
  one.revision++
  watches.advance()
  expect(looks()).toBe(1)
})

test('there are only so many watches: whoever comes too late is sent away at once', () => {
  const watches = new Watches(machine().machine)
  const events = new Map<string, number>()
  const reply = (_id: number, _status: number, bytes: Uint8Array): void => {
    const { type } = readWatchEvent(new ByteReader(bytes))
    events.set(type, (events.get(type) ?? 0) + 1)
  }
  for (let id = 0; id < 65_537; id++) watches.open({ reply } as unknown as Source, id, REQUEST)
  expect(events).toEqual(
    new Map([
      ['standing', 65_536],
      ['moved', 1],
    ]),
  )
})
