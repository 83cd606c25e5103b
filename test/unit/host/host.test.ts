import { expect, test } from 'vitest'
import type { NodeId } from '../../../src/base/identity.ts'
import { Host, type Hosted } from '../../../src/host/host.ts'
import type { Core, Ready, Written } from '../../../src/protocol/core.ts'
import { EventQueue } from '../../../src/simulation/world/event-queue.ts'

type Told = Ready<string, string, string, string>

const NOTHING: Told = { messages: [], writes: [], messagesAfterPersist: [], outputs: [], events: [] }
const PEER = 'peer' as NodeId

/** A replica that says what it is told to say, and notes what is done with it. */
class Replica implements Hosted<string, string, string, string, string> {
  readonly #told: Told[] = []
  readonly #journal: string[]
  isBehind = false
  isAwaited: boolean
  /** Whether something comes of what the disk confirms. */
  hasNews = false
  turns = 0

  constructor(journal: string[], isAwaited: boolean) {
    this.#journal = journal
    this.isAwaited = isAwaited
  }

  readonly core: Core<string, string, string, string, string> = {
    receive: () => {},
    submit: () => {},
    wake: () => {},
    persisted: () => this.hasNews,
    wakeAt: Number.POSITIVE_INFINITY,
    takeReady: () => this.#told.shift(),
  }

  tell(told: Partial<Told>): void {
    this.#told.push({ ...NOTHING, ...told })
  }

  prepare(): void {
    this.turns++
  }

  send(_: NodeId, message: string): void {
    this.#journal.push(`send ${message}`)
  }

  stage(write: string): void {
    this.#journal.push(`stage ${write}`)
  }

  perform(output: string): void {
    this.#journal.push(`perform ${output}`)
    this.isBehind = true
  }

  observe(): void {}

  written(): Written {
    return { index: 1, term: 1, currentTerm: 1 }
  }

  execute(): void {
    this.#journal.push(`execute ${this.isAwaited ? 'awaited' : 'unawaited'}`)
    this.isBehind = false
  }
}

function setUp() {
  const journal: string[] = []
  const time = new EventQueue()
  let confirm: (() => void) | undefined
  const log = {
    isDirty: false,
    isInline: true,
    commit(done: (error: Error | undefined) => void) {
      journal.push('sync')
      this.isDirty = false
      if (this.isInline) done(undefined)
      else confirm = () => done(undefined)
    },
  }
  const host = new Host<string, string, string, string, string>({
    clock: time,
    scheduler: time,
    log,
    flush: () => journal.push('flush'),
    fatal: (error) => expect.unreachable(String(error)),
  })
  const add = (isAwaited: boolean) => {
    const replica = new Replica(journal, isAwaited)
    const touch = host.add(replica)
    return { replica, touch }
  }
  const run = (forMs: number) => {
    const until = time.now() + forMs
    while (time.step(until));
  }
  return { journal, log, add, run, confirm: () => confirm?.() }
}

test('a turn lets messages leave, then executes what is awaited, then syncs, then lets go of what waited for that', () => {
  const { journal, log, add, run } = setUp()
  const { replica, touch } = add(true)
  run(1)
  journal.length = 0
  const acknowledgement = { to: PEER, message: 'acknowledgement' }
  replica.tell({ messages: [{ to: PEER, message: 'entries' }], writes: ['entry'], outputs: ['commit'] })
  replica.tell({ messagesAfterPersist: [acknowledgement] })
  log.isDirty = true
  touch()
  run(1)
  expect(journal).toEqual([
    'send entries',
    'stage entry',
    'perform commit',
    'flush',
    'execute awaited',
    'flush',
    'sync',
    'send acknowledgement',
    'flush',
  ])
})

test('what a sync confirms later leaves then', () => {
  const { journal, log, add, run, confirm } = setUp()
  const { replica, touch } = add(false)
  run(1)
  log.isInline = false
  log.isDirty = true
  replica.tell({ writes: ['entry'], messagesAfterPersist: [{ to: PEER, message: 'acknowledgement' }] })
  touch()
  run(1)
  expect(journal.at(-1)).toBe('sync')
  confirm()
  expect(journal.slice(-2)).toEqual(['send acknowledgement', 'flush'])
})

test('what nobody waits for is executed within ten milliseconds, and that of all replicas together', () => {
  const { journal, add, run } = setUp()
  const replicas = [add(false), add(false)]
  run(1)
  journal.length = 0
  for (const { replica, touch } of replicas) {
    replica.tell({ outputs: ['commit'] })
    touch()
    run(3)
  }
  expect(journal).toEqual(['perform commit', 'flush', 'perform commit', 'flush'])
  run(10)
  expect(journal.slice(4)).toEqual(['execute unawaited', 'execute unawaited'])
})

test('a replica for which nothing comes of a sync has no turn for it', () => {
  const { log, add, run } = setUp()
  const { replica, touch } = add(true)
  run(1)
  const turnsFor = (hasNews: boolean) => {
    const before = replica.turns
    replica.hasNews = hasNews
    replica.tell({ writes: ['entry'] })
    log.isDirty = true
    touch()
    run(1)
    return replica.turns - before
  }
  expect([turnsFor(false), turnsFor(true)]).toEqual([1, 2])
})
