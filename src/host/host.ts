/** The host drives cores on ports: one loop that sends, writes and delivers for every replica of a node. */

import type { NodeId } from '../base/identity.ts'
import type { Clock, Millis, Scheduler, Timer } from '../base/time.ts'
import type { Core, Ready, Written } from '../protocol/core.ts'

/** A core in the hands of the host, with what its readies ask for. */
export interface Hosted<Message, Request, Output, Write, Event> {
  readonly core: Core<Message, Request, Output, Write, Event>
  /** Hands what was collected during the turn to the core. */
  prepare(now: Millis): void
  send(to: NodeId, message: Message): void
  stage(write: Write): void
  perform(output: Output, now: Millis): void
  observe(event: Event): void
  /** How far the core has come with what was staged. */
  written(): Written
  /** What is decided has not been executed yet. */
  readonly isBehind: boolean
  /** Somebody waits for what it executes. */
  readonly isAwaited: boolean
  execute(): void
}

/** The part of the log device that the host needs. A commit of nothing marks the end of what is durable. */
export interface CommitLog {
  readonly isDirty: boolean
  commit(done: (error: Error | undefined) => void): void
}

export interface HostPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly log: CommitLog
  /** Lets everything that was sent during the turn leave: called before the disk is written, and again after. */
  flush(): void
  /** The node contradicts itself or lost its disk: it must stop. */
  fatal(error: unknown): void
}

/** A log that has been idle for this long gets its marker, which tells what a crash tore from what decayed later. */
const IDLE_MS: Millis = 100
/** For how long what is decided, and nobody waits for, may gather before it is executed. */
const LEISURE_MS: Millis = 10

/** What one commit of the log makes durable, and what waits for it. */
interface Batch<Slot> {
  readonly number: number
  readonly written: Map<Slot, Written>
  readonly held: (() => void)[]
}

/**
 * One turn: every replica that was touched hands over what it wants; messages leave; what was decided is executed where
 * somebody waits for the outcome, and a little later elsewhere; everything staged goes to disk with one write and one
 * sync. What had to wait for the disk leaves when it is durable. While a commit is under way the next one gathers:
 * group commit over all groups, without any timer.
 */
export class Host<Message, Request, Output, Write, Event> {
  readonly #ports: HostPorts
  readonly #slots = new Set<Slot<Message, Request, Output, Write, Event>>()
  #dirty: Slot<Message, Request, Output, Write, Event>[] = []
  /** What is decided there waits until all that others wait for has left. */
  #behind: Slot<Message, Request, Output, Write, Event>[] = []
  #staging: Batch<Slot<Message, Request, Output, Write, Event>> = emptyBatch(1)
  #inFlight: Batch<Slot<Message, Request, Output, Write, Event>> | undefined
  #durable = 0
  #isCommitting = false
  #isScheduled = false
  #isRunning = false
  /** The disk has confirmed something, for which messages may have waited. */
  #isConfirmed = false
  #isStopped = false
  #marker: Timer | undefined
  /** Until when what nobody waits for need not be executed. */
  #leisure: Timer | undefined
  #idleSince: Millis = 0

  constructor(ports: HostPorts) {
    this.#ports = ports
  }

  /** Starts driving; the returned function must be called whenever the core was told something. */
  add(hosted: Hosted<Message, Request, Output, Write, Event>): () => void {
    const slot = new Slot(hosted)
    this.#slots.add(slot)
    const touch = () => this.#touch(slot)
    touch()
    return touch
  }

  /** Nothing is driven, sent or confirmed any more. */
  stop(): void {
    this.#isStopped = true
    this.#marker?.cancel()
    this.#leisure?.cancel()
    for (const slot of this.#slots) slot.timer?.cancel()
  }

  /** Asks for a turn although no replica was touched, so that what was sent leaves. */
  schedule(): void {
    if (this.#isScheduled || this.#isRunning || this.#isStopped) return
    this.#isScheduled = true
    this.#ports.scheduler.defer(() => {
      this.#isScheduled = false
      this.#turn()
    })
  }

  #touch(slot: Slot<Message, Request, Output, Write, Event>): void {
    if (slot.isDirty) return
    slot.isDirty = true
    this.#dirty.push(slot)
    this.schedule()
  }

  #turn(): void {
    if (this.#isStopped || this.#isRunning) return
    this.#isRunning = true
    try {
      do {
        this.#isConfirmed = false
        this.#drain()
        this.#ports.flush()
        if (this.#execute((hosted) => hosted.isAwaited)) this.#ports.flush()
        this.#commit()
      } while (this.#isConfirmed || this.#dirty.length > 0)
    } catch (error) {
      this.stop()
      this.#ports.fatal(error)
    } finally {
      this.#isRunning = false
    }
    this.#executeRest()
  }

  #drain(): void {
    const now = this.#ports.clock.now()
    while (this.#dirty.length > 0) {
      const dirty = this.#dirty
      this.#dirty = []
      for (const slot of dirty) {
        slot.isDirty = false
        slot.hosted.prepare(now)
        for (let ready = slot.hosted.core.takeReady(); ready !== undefined; ready = slot.hosted.core.takeReady()) {
          this.#fulfil(slot, ready, now)
        }
        this.#arm(slot)
      }
    }
  }

  #fulfil(
    slot: Slot<Message, Request, Output, Write, Event>,
    ready: Ready<Message, Output, Write, Event>,
    now: Millis,
  ): void {
    const { hosted } = slot
    for (const { to, message } of ready.messages) hosted.send(to, message)
    if (ready.writes.length > 0) {
      for (const write of ready.writes) hosted.stage(write)
      slot.stagedIn = this.#staging.number
      this.#staging.written.set(slot, hosted.written())
    }
    if (ready.messagesAfterPersist.length > 0) this.#hold(slot, ready.messagesAfterPersist)
    for (const output of ready.outputs) hosted.perform(output, now)
    for (const event of ready.events) hosted.observe(event)
    if (slot.isBehind || !hosted.isBehind) return
    slot.isBehind = true
    this.#behind.push(slot)
  }

  /** Where nobody waits, much is executed at once, which costs less than a little in every turn. */
  #executeRest(): void {
    if (this.#behind.length === 0 || this.#leisure !== undefined || this.#isStopped) return
    this.#leisure = this.#ports.scheduler.at(this.#ports.clock.now() + LEISURE_MS, () => {
      this.#leisure = undefined
      if (this.#isStopped) return
      try {
        this.#execute(() => true)
      } catch (error) {
        this.stop()
        this.#ports.fatal(error)
      }
    })
  }

  /** False when there is nothing to execute. */
  #execute(isDue: (hosted: Hosted<Message, Request, Output, Write, Event>) => boolean): boolean {
    const due = this.#behind.filter(({ hosted }) => isDue(hosted))
    if (due.length === 0) return false
    this.#behind = this.#behind.filter(({ hosted }) => !isDue(hosted))
    for (const slot of due) {
      slot.isBehind = false
      slot.hosted.execute()
    }
    return true
  }

  /** Holds the messages alone: the writes, with all their payloads, need not wait for the disk as well. */
  #hold(
    slot: Slot<Message, Request, Output, Write, Event>,
    messages: Ready<Message, Output, Write, Event>['messagesAfterPersist'],
  ): void {
    const leave = () => {
      for (const { to, message } of messages) slot.hosted.send(to, message)
    }
    // Without anything of its own on the way to disk, a replica has nothing to wait for.
    if (slot.stagedIn <= this.#durable) leave()
    else if (slot.stagedIn === this.#staging.number) this.#staging.held.push(leave)
    else this.#inFlight?.held.push(leave)
  }

  #commit(): void {
    if (this.#isCommitting || !this.#ports.log.isDirty) return
    this.#startCommit()
  }

  #startCommit(): void {
    this.#isCommitting = true
    const batch = this.#staging
    this.#inFlight = batch
    this.#staging = emptyBatch(batch.number + 1)
    this.#ports.log.commit((error) => this.#committed(batch, error))
  }

  #committed(batch: Batch<Slot<Message, Request, Output, Write, Event>>, error: Error | undefined): void {
    if (this.#isStopped) return
    if (error !== undefined) {
      this.stop()
      this.#ports.fatal(error)
      return
    }
    this.#isCommitting = false
    this.#inFlight = undefined
    this.#durable = batch.number
    if (batch.written.size > 0) this.#markWhenIdle()
    for (const leave of batch.held) leave()
    for (const [slot, written] of batch.written) {
      if (slot.hosted.core.persisted(written)) this.#touch(slot)
    }
    // A log that confirms within the call is inside a turn already, which goes on.
    this.#isConfirmed = true
    this.#turn()
  }

  #markWhenIdle(): void {
    this.#idleSince = this.#ports.clock.now()
    if (this.#marker !== undefined) return
    const mark = () => {
      this.#marker = undefined
      const at = this.#idleSince + IDLE_MS
      if (this.#isStopped) return
      if (this.#ports.clock.now() < at) this.#marker = this.#ports.scheduler.at(at, mark)
      else if (!this.#isCommitting) this.#startCommit()
    }
    this.#marker = this.#ports.scheduler.at(this.#idleSince + IDLE_MS, mark)
  }

  /** One timer a replica, moved only to come earlier: a deadline that moved back is noticed when the timer fires. */
  #arm(slot: Slot<Message, Request, Output, Write, Event>): void {
    const wakeAt = slot.hosted.core.wakeAt
    if (wakeAt >= slot.timerAt) return
    slot.timer?.cancel()
    slot.timerAt = wakeAt
    slot.timer = this.#ports.scheduler.at(wakeAt, () => {
      slot.timerAt = Number.POSITIVE_INFINITY
      if (this.#isStopped) return
      const now = this.#ports.clock.now()
      if (now >= slot.hosted.core.wakeAt) slot.hosted.core.wake(now)
      this.#touch(slot)
    })
  }
}

class Slot<Message, Request, Output, Write, Event> {
  readonly hosted: Hosted<Message, Request, Output, Write, Event>
  isDirty = false
  isBehind = false
  stagedIn = 0
  timer: Timer | undefined = undefined
  timerAt = Number.POSITIVE_INFINITY

  constructor(hosted: Hosted<Message, Request, Output, Write, Event>) {
    this.hosted = hosted
  }
}

function emptyBatch<Slot>(number: number): Batch<Slot> {
  return { number, written: new Map(), held: [] }
}
