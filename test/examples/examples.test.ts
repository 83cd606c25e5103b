import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { root } from '../process/os-process.ts'
import { compile } from './compile.ts'

/** The one that runs until it is told to end: `cluster.test.ts` runs it. */
const SERVICE = '09-cluster.ts'

/** What each example prints. */
const OUTPUT: Readonly<Record<string, readonly string[]>> = {
  '01-map.ts': [
    'de/ann is taken',
    'de/ann has 421',
    'de/ann belongs to Ann',
    'de/bob belongs to Bob',
    'de/ann was closed after 3 deposits',
  ],
  '02-queue.ts': [
    'sent twice, kept once: true',
    'ann got welcome, your invoice, good bye',
    "{ to: 'nobody', text: 'hello?' } died of attempts after 3 deliveries: no such mailbox",
    'sent back: 1',
    'waiting: 1',
  ],
  '03-lock.ts': [
    'each was alone: true',
    'ann has 321',
    'the first holder is fenced off',
    'ann has 0',
    'billing is taken',
  ],
  '04-leader.ts': ['asked ann: run 1 by ann', 'asked bob: run 2 by ann', 'asked bob: run 3 by bob'],
  '05-fence.ts': [
    'sent: 200 written',
    'paid: 200 written',
    'sent-again: 412 somebody else holds the lock',
    'the invoice is at /paid',
    'holds: false true',
  ],
  '06-cron.ts': [
    'set by three, there once: beat, nightly',
    'the next night report is due at 03 in Berlin, summer or winter',
    'three firings, three names: 3',
    'ended: true',
  ],
  '07-topic.ts': [
    'billing saw o-1 placed, paid, shipped',
    'mailing saw o-2 placed, paid, shipped',
    'then billing saw o-3',
    'billing saw it all again: o-1, o-2, o-3',
    'mailing is behind by 1',
    'tea is 90',
  ],
  '08-orders.ts': [
    'ann has ordered for 60',
    'bob has ordered for 7',
    'invoices of ann, each once and in order: 10, 20, 30',
    'an order of bob for -5 died: a total is not negative',
  ],
}

test('every example is listed here', () => {
  expect(readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.ts'))).toEqual([
    ...Object.keys(OUTPUT),
    SERVICE,
  ])
})

// As a newcomer runs it: the built package, in a process of its own, which must end by itself.
test.each(Object.entries(OUTPUT))('%s prints what it says', { timeout: 30_000 }, async (name, lines) => {
  const { stdout } = await promisify(execFile)(process.execPath, [compile(name)], { timeout: 20_000 })
  expect(stdout.trimEnd().split('\n')).toEqual(lines)
})
