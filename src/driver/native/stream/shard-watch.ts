/** A shard's watch stands at one node and moves to another, from where it had come, when that node cannot go on. */

import { decodeChanges, type MapChange } from '../../../machine/key-value/changes.ts'
import type { Selection } from '../../../machine/machine.ts'
import type { WatchEvent } from '../../../wire/request.ts'
import type { Link, WatchSink } from '../route/link.ts'
import type { Router } from '../route/router.ts'
import { Backoff, type BackoffPorts } from './backoff.ts'

/** On the wire: from now on. */
const NOW = 0
/** Revisions are microseconds since 1970, so this is before all of them. */
const BEGINNING = 1

export type WatchPorts = BackoffPorts

/** Changes that arrived together. */
export interface Chunk {
  readonly from: ShardWatch
  readonly changes: readonly MapChange[]
  readonly through: number
  readonly bytes: number
}

export interface ShardWatchHandler {
  /** The watch covers everything after its position; called again whenever it has moved. */
  stands(from: ShardWatch): void
  changed(chunk: Chunk): void
  /** What comes next is forgotten; the watch has ended. */
  compacted(from: ShardWatch): void
}

export interface ShardWatchPlace {
  readonly shard: number
  readonly group: number
  /** Changes after this revision; undefined: from now on. */
  readonly after: number | undefined
  /** How many bytes may be here that nobody has taken yet. */
  readonly roomBytes: number
}

export class ShardWatch implements WatchSink {
  readonly shard: number
  readonly #place: ShardWatchPlace
  readonly #selection: Selection
  readonly #router: Router
  readonly #backoff: Backoff
  readonly #handler: ShardWatchHandler
  /** Everything up to here has arrived; undefined until the watch has stood. */
  #through: number | undefined
  #untaken = 0
  #link: Link | undefined
  #id = 0
  #isEnded = false

  constructor(
    place: ShardWatchPlace,
    selection: Selection,
    router: Router,
    more: {
      readonly ports: WatchPorts
      readonly handler: ShardWatchHandler
    },
  ) {
    this.shard = place.shard
    this.#place = place
    this.#selection = selection
    this.#router = router
    this.#backoff = new Backoff(more.ports)
    this.#handler = more.handler
    this.#through = place.after
  }

  get group(): number {
    return this.#place.group
  }

  /** Where the watch begins or has come to; 0 before it has stood. */
  get through(): number {
    return this.#through ?? 0
  }

  begin(): void {
    if (this.#isEnded) return
    const { group, roomBytes } = this.#place
    const link = this.#router.linkTo(group)
    if (link === undefined) {
      this.#backoff.retry(() => this.begin())
      return
    }
    const revision = this.#through === undefined ? NOW : Math.max(BEGINNING, this.#through)
    const creditBytes = Math.max(0, roomBytes - this.#untaken)
    this.#link = link
    this.#id = link.watch(group, { ...this.#selection, revision, creditBytes }, this)
  }

  event(event: WatchEvent): void {
    if (event.type === 'compacted') {
      this.#isEnded = true
      this.#handler.compacted(this)
      return
    }
    this.#backoff.reset()
    const changes = decodeChanges(event.changes)
    this.#through = Math.max(this.through, event.through)
    if (event.type === 'standing') this.#handler.stands(this)
    if (changes.length === 0) return
    this.#untaken += event.changes.length
    this.#handler.changed({ from: this, changes, through: event.through, bytes: event.changes.length })
  }

  lost(): void {
    this.#link = undefined
    if (!this.#isEnded) this.#backoff.retry(() => this.begin())
  }

  /** The consumer has taken a chunk: the node may send as much again. */
  taken(chunk: Chunk): void {
    this.#untaken -= chunk.bytes
    this.#link?.credit(this.#place.group, this.#id, chunk.bytes)
  }

  end(): void {
    this.#isEnded = true
    this.#backoff.cancel()
    this.#link?.end(this.#place.group, this.#id)
    this.#link = undefined
  }
}
