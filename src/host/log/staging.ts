/** Staging takes what a group writes into the content of the log and hands it on as records. */

import { assert, required } from '../../base/assert.ts'
import type { GroupId } from '../../base/identity.ts'
import type { LogPosition } from '../../protocol/core.ts'
import type { Entry, RaftWrite } from '../../protocol/raft/message.ts'
import type { LogContent } from './content.ts'
import { type Checksum, nextChain, RECORD, type RecordHead } from './format.ts'
import type { GroupLog } from './group-log.ts'
import { encodeVote } from './replay.ts'

const NOTHING = new Uint8Array()

export interface StagingPorts {
  readonly checksum: Checksum
  readonly record: (head: RecordHead, payload: Uint8Array) => void
}

export class Staging {
  readonly #content: LogContent
  readonly #ports: StagingPorts

  constructor(content: LogContent, ports: StagingPorts) {
    this.#content = content
    this.#ports = ports
  }

  stage(id: GroupId, write: RaftWrite): void {
    const group = this.#content.group(id)
    switch (write.type) {
      case 'entries':
        this.#entries(group, write.entries)
        break
      case 'hard-state':
        group.term = write.term
        group.vote = write.vote
        this.#record(RECORD.hardState, { group: id, index: 0, term: write.term, chain: 0 }, encodeVote(write.vote))
        break
      case 'snapshot':
        group.install(write.position, write.chain)
        this.#record(RECORD.installed, { group: id, ...write.position, chain: write.chain }, NOTHING)
        break
    }
  }

  compact(id: GroupId, upTo: LogPosition): void {
    const group = this.#content.group(id)
    if (upTo.index <= group.start.index) return
    const chain = required(group.chainAt(upTo.index), `group ${id}'s entry ${upTo.index}, which a snapshot covers,`)
    group.compact(upTo, chain)
    this.#record(RECORD.compacted, { group: id, ...upTo, chain }, NOTHING)
  }

  #entries(group: GroupLog, entries: readonly Entry[]): void {
    const first = entries[0]
    if (first === undefined) return
    group.truncate(first.index)
    assert(first.index === group.last.index + 1, `entries of group ${group.id} follow what it has`)
    let chain = group.chainAt(first.index - 1) ?? 0
    for (const { index, term, kind, payload } of entries) {
      const payloadCrc = this.#ports.checksum(payload)
      chain = nextChain(chain, { kind: RECORD[kind], term, index, payloadCrc })
      group.table.append(term, RECORD[kind], chain, payload.length)
      this.#content.cache.add(group, index, payload)
      const { id } = group
      this.#ports.record(
        { group: id, index, term, kind: RECORD[kind], chain, payloadCrc, length: payload.length },
        payload,
      )
    }
  }

  #record(kind: number, head: Pick<RecordHead, 'group' | 'index' | 'term' | 'chain'>, payload: Uint8Array): void {
    this.#ports.record({ ...head, kind, payloadCrc: this.#ports.checksum(payload), length: payload.length }, payload)
  }
}
