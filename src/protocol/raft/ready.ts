/** The outbox collects what a turn has brought about until the host takes it as one Ready. */

import type { NodeId } from '../../base/identity.ts'
import type { Addressed, LogPosition, Ready, Term } from '../core.ts'
import type { Entry, RaftEvent, RaftMessage, RaftOutput, RaftWrite } from './message.ts'

export type RaftReady = Ready<RaftMessage, RaftOutput, RaftWrite, RaftEvent>

const NOTHING: readonly never[] = Object.freeze([])

/** Every array is handed over and never touched again: the host's disk may still be reading it. */
export class Outbox {
  #writes: RaftWrite[] = []
  #messages: Addressed<RaftMessage>[] = []
  #messagesAfterPersist: Addressed<RaftMessage>[] = []
  #outputs: RaftOutput[] = []
  #events: RaftEvent[] = []
  /** The entries of the last write, while they can still grow. */
  #tail: Entry[] | undefined

  get isEmpty(): boolean {
    const sent = this.#messages.length + this.#messagesAfterPersist.length
    return sent + this.#writes.length + this.#outputs.length + this.#events.length === 0
  }

  send(to: NodeId, message: RaftMessage): void {
    this.#messages.push({ to, message })
  }

  /** For what claims that something is on this disk: votes and acknowledgements. */
  sendAfterPersist(to: NodeId, message: RaftMessage): void {
    this.#messagesAfterPersist.push({ to, message })
  }

  writeHardState(term: Term, vote: NodeId | undefined): void {
    if (this.#writes.at(-1)?.type === 'hard-state') this.#writes.pop()
    this.#write({ type: 'hard-state', term, vote })
  }

  writeEntry(entry: Entry): void {
    const tail = this.#tail
    if (tail !== undefined && tail[tail.length - 1]?.index === entry.index - 1) {
      tail.push(entry)
      return
    }
    const entries = [entry]
    this.#write({ type: 'entries', entries })
    this.#tail = entries
  }

  writeSnapshot(position: LogPosition, chain: number): void {
    this.#write({ type: 'snapshot', position, chain })
  }

  /** Of consecutive commits, or changes of leadership, only the last one matters. */
  output(output: RaftOutput): void {
    const previous = this.#outputs.at(-1)?.type
    if (previous === output.type && (previous === 'commit' || previous === 'leadership')) this.#outputs.pop()
    this.#outputs.push(output)
  }

  event(event: RaftEvent): void {
    this.#events.push(event)
  }

  take(): RaftReady | undefined {
    const writes = this.#writes
    const messages = this.#messages
    const messagesAfterPersist = this.#messagesAfterPersist
    const outputs = this.#outputs
    const events = this.#events
    if (this.isEmpty) return undefined
    if (writes.length > 0) this.#writes = []
    if (messages.length > 0) this.#messages = []
    if (messagesAfterPersist.length > 0) this.#messagesAfterPersist = []
    if (outputs.length > 0) this.#outputs = []
    if (events.length > 0) this.#events = []
    this.#tail = undefined
    return {
      writes: writes.length > 0 ? writes : NOTHING,
      messages: messages.length > 0 ? messages : NOTHING,
      messagesAfterPersist: messagesAfterPersist.length > 0 ? messagesAfterPersist : NOTHING,
      outputs: outputs.length > 0 ? outputs : NOTHING,
      events: events.length > 0 ? events : NOTHING,
    }
  }

  #write(write: RaftWrite): void {
    this.#writes.push(write)
    this.#tail = undefined
  }
}
