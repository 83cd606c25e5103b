/** The promises about watches: nothing missed, nothing twice, and an end when it is asked for. */

import type { Change, KeyRange, WatchOptions } from '../contract.ts'
import { standing } from '../contract-standing.ts'
import type { ConformanceCase, ConformanceContext } from './case.ts'
import { bytes, check, checkEqual, checkRejects, rejection, take, WHOLE } from './case.ts'

export const WATCH_CASES: readonly ConformanceCase[] = [
  {
    name: 'a watch from now on shows what changes after next was first called',
    async run(context) {
      const { driver, map } = context
      await driver.keyValue.set(map, 'a', bytes('before'), {})
      const watch = watchOf(context, {})
      const first = watch.next()
      const { revision } = await driver.keyValue.set(map, 'a', bytes('after'), {})
      const { value } = await first
      checkEqual(factsOf(value), { type: 'set', key: 'a', value: bytes('after'), revision }, 'change')
      await watch.return?.()
    },
  },
  {
    name: 'a watch says once that it stands, and shows what changes from then on',
    async run(context) {
      const { driver, map } = context
      let stands = 0
      const { changes, first } = await standing((onStanding) =>
        driver.keyValue.watch(map, WHOLE, {
          onStanding() {
            stands++
            onStanding()
          },
        }),
      )
      const { revision } = await driver.keyValue.set(map, 'a', bytes('after'), {})
      const { value } = await first
      checkEqual(factsOf(value), { type: 'set', key: 'a', value: bytes('after'), revision }, 'change')
      await changes.return?.()
      checkEqual(stands, 1, 'how often it stood')
    },
  },
  {
    name: 'a watch from a revision shows every later change of a key, in order, sets and deletes alike',
    async run(context) {
      const { driver, map } = context
      const start = await driver.keyValue.set(map, 'a', bytes('0'), {})
      const set = await driver.keyValue.set(map, 'a', bytes('1'), {})
      const removed = await driver.keyValue.delete(map, 'a', {})
      const again = await driver.keyValue.set(map, 'a', bytes('2'), {})
      const watch = watchOf(context, { from: start.revision })
      const changes = (await take(watch, 3)).map(factsOf)
      await watch.return?.()
      const wanted = [
        { type: 'set', key: 'a', value: bytes('1'), revision: set.revision },
        { type: 'delete', key: 'a', revision: removed.revision },
        { type: 'set', key: 'a', value: bytes('2'), revision: again.revision },
      ]
      checkEqual(changes, wanted, 'changes')
    },
  },
  {
    name: 'a refused write and a delete of nothing are no changes',
    async run(context) {
      const { driver, map } = context
      const { revision } = await driver.keyValue.set(map, 'a', bytes('0'), {})
      await checkRejects(driver.keyValue.set(map, 'a', bytes('1'), { ifRevision: 0n }), 'CONFLICT')
      await driver.keyValue.delete(map, 'a', {})
      await driver.keyValue.delete(map, 'a', {})
      await driver.keyValue.set(map, 'a', bytes('2'), {})
      const watch = watchOf(context, { from: revision })
      const types = (await take(watch, 2)).map(({ type }) => type)
      await watch.return?.()
      checkEqual(types, ['delete', 'set'], 'types')
    },
  },
  {
    name: 'a watch sees its own map and range only',
    async run(context) {
      const { driver, map } = context
      const watch = watchOf(context, {}, { from: 'b', until: 'd' })
      const watched = take(watch, 2)
      for (const key of ['a', 'b', 'c', 'd', 'b']) {
        await driver.keyValue.set(`${map}-other`, key, bytes(key), {})
        await driver.keyValue.set(map, key, bytes(key), {})
      }
      const changes = [...(await watched), ...(await take(watch, 1))]
      await watch.return?.()
      checkEqual(changes.map(({ key }) => key).sort(), ['b', 'b', 'c'], 'keys')
    },
  },
  {
    name: 'a watch that goes on from a cursor has no gap and no repetition',
    async run(context) {
      const { driver, map } = context
      const keys = Array.from({ length: 40 }, (_, at) => `key-${at}`)
      const watch = watchOf(context, {})
      const first = take(watch, 1)
      const missing = new Set<string>()
      for (const key of keys) missing.add(nameOf(key, (await driver.keyValue.set(map, key, bytes('1'), {})).revision))
      let cursor = strike(missing, await first)
      await watch.return?.()
      while (missing.size > 0) {
        const resumed = watchOf(context, { from: cursor })
        cursor = strike(missing, await take(resumed, Math.min(7, missing.size)))
        await resumed.return?.()
      }
      const last = watchOf(context, { from: cursor })
      const next = last.next()
      await driver.keyValue.set(map, 'one more', bytes('1'), {})
      checkEqual((await next).value?.key, 'one more', 'key of the change after all others')
      await last.return?.()
    },
  },
  {
    name: 'a watch beside many writers misses no change, and shows those of each key in order',
    async run(context) {
      const { driver, map } = context
      const writers = Array.from({ length: 8 }, (_, at) => `writer-${at}`)
      const rounds = 25
      const watch = watchOf(context, {})
      const watched = take(watch, writers.length * rounds)
      const written = await Promise.all(
        writers.map(async (key) => {
          const revisions: bigint[] = []
          for (let round = 0; round < rounds; round++) {
            revisions.push((await driver.keyValue.set(map, key, bytes(`${round}`), {})).revision)
          }
          return revisions
        }),
      )
      const changes = await watched
      await watch.return?.()
      for (const [at, key] of writers.entries()) {
        const shown = changes.filter((change) => change.key === key).map(({ revision }) => revision)
        checkEqual(shown, written[at], `revisions of ${key}`)
      }
    },
  },
  {
    name: 'two watches see the same changes, and one goes on when the other has ended',
    async run(context) {
      const { driver, map } = context
      const [left, right] = [watchOf(context, {}), watchOf(context, {})]
      const firsts = [left.next(), right.next()]
      await driver.keyValue.set(map, 'a', bytes('1'), {})
      const [one, other] = await Promise.all(firsts)
      checkEqual(factsOf(one?.value), factsOf(other?.value), 'changes')
      await left.return?.()
      await driver.keyValue.set(map, 'b', bytes('2'), {})
      checkEqual((await right.next()).value?.key, 'b', 'key of the next change')
      checkEqual((await left.next()).done, true, 'the ended watch is done')
      await right.return?.()
    },
  },
  {
    name: 'a watch whose signal aborts while it waits rejects with the reason, and is done',
    async run(context) {
      const controller = new AbortController()
      const reason = new Error('enough')
      const watch = watchOf(context, { signal: controller.signal })
      const waiting = rejection(watch.next())
      controller.abort(reason)
      check((await waiting) === reason, 'the rejection is the reason of the signal')
      checkEqual((await watch.next()).done, true, 'done')
    },
  },
  {
    name: 'a watch that is left while it waits is done at once',
    async run(context) {
      const watch = watchOf(context, {})
      const waiting = watch.next()
      await watch.return?.()
      checkEqual((await waiting).done, true, 'done')
    },
  },
  {
    name: 'a cursor that is none is an INVALID_ARGUMENT',
    async run(context) {
      const attempt = async (): Promise<unknown> => watchOf(context, { from: 'no cursor' }).next()
      await checkRejects(attempt(), 'INVALID_ARGUMENT')
    },
  },
]

function watchOf(
  { driver, map }: ConformanceContext,
  options: WatchOptions,
  range: KeyRange = WHOLE,
): AsyncIterator<Change> {
  return driver.keyValue.watch(map, range, options)[Symbol.asyncIterator]()
}

function factsOf(change: Change | undefined): object {
  const { cursor: _, ...facts } = change ?? { cursor: '' }
  return facts
}

/** Crosses the changes off, each of which is there once; the last one's cursor. */
function strike(missing: Set<string>, changes: readonly Change[]): string {
  for (const { key, revision } of changes) {
    check(missing.delete(nameOf(key, revision)), `${nameOf(key, revision)} is a change, and is shown once`)
  }
  return changes.at(-1)?.cursor ?? ''
}

function nameOf(key: string, revision: bigint): string {
  return `${key}@${revision}`
}
