/** The schedules of the native driver: each lives in the shard where its messages go. */

import { ByteReader, type ByteWriter } from '../../../base/bytes.ts'
import { decodeHeaders, encodeHeaders } from '../../../base/headers.ts'
import { ANSWER_HEAD_BYTES } from '../../../machine/command.ts'
import {
  decodeScheduleStatus,
  encodeScheduleName,
  encodeSchedulePause,
  encodeScheduleSet,
  firingId,
  SCHEDULE_COMMAND,
  SCHEDULE_QUERY,
  type ScheduleDefinition,
  type ScheduleStatus as StoredSchedule,
  scheduleKey,
} from '../../../machine/schedule/command.ts'
import { encodePage } from '../../../machine/topic/command.ts'
import type { CallOptions, ScheduleRule, ScheduleStatus } from '../../contract.ts'
import { ASK, type Bodies, commandVerb, type Done } from '../body.ts'
import { Operation, type Verb } from '../route/operation.ts'
import type { Router } from '../route/router.ts'
import type { RuledQueue } from './rules.ts'

const SET = commandVerb(SCHEDULE_COMMAND.scheduleSet)
const REMOVE = commandVerb(SCHEDULE_COMMAND.scheduleRemove)
const PAUSE = commandVerb(SCHEDULE_COMMAND.schedulePause)
const PAGE_LIMIT = 1000

interface ScheduleName {
  readonly queue: string
  readonly id: string
}

export class NativeSchedules {
  readonly #router: Router
  readonly #bodies: Bodies

  constructor(router: Router, bodies: Bodies) {
    this.#router = router
    this.#bodies = bodies
  }

  /** The queue's rules must be known to the cluster. */
  async set({ name, rules }: RuledQueue, id: string, rule: ScheduleRule, options: CallOptions): Promise<void> {
    await this.#router.whenReady(options)
    const definition = definitionOf(rule)
    const value = this.#bodies.write((writer) => encodeScheduleSet(writer, { queue: name, id }, definition))
    const shard = this.#router.shardOf(name, rules.single ? '' : id)
    await this.#router.submit(new Operation(SET, { shard, value }), options)
  }

  remove(queue: string, id: string, options: CallOptions): Promise<boolean> {
    const encode = (writer: ByteWriter): void => encodeScheduleName(writer, queue, id)
    return this.#find({ queue, id }, { verb: REMOVE, encode }, options)
  }

  pause(name: ScheduleName, isPaused: boolean, options: CallOptions): Promise<boolean> {
    const encode = (writer: ByteWriter): void => encodeSchedulePause(writer, name.queue, name.id, isPaused)
    return this.#find(name, { verb: PAUSE, encode }, options)
  }

  async all(options: CallOptions): Promise<readonly ScheduleStatus[]> {
    const groups = await this.#router.whenReady(options)
    const found: StoredSchedule[] = []
    for (let shard = 0; shard < groups.length; shard++) {
      for (let after: string | undefined = ''; after !== undefined; ) {
        const from: string = after
        const value = this.#bodies.write((writer) => {
          writer.u8(SCHEDULE_QUERY.schedules)
          encodePage(writer, from, PAGE_LIMIT)
        })
        const answer = await this.#router.submit(new Operation(ASK, { shard, value }), options)
        const reader = new ByteReader(answer, ANSWER_HEAD_BYTES)
        const hasMore = reader.u8() === 1
        for (let left = reader.u32(); left > 0; left--) found.push(decodeScheduleStatus(reader))
        const last = found.at(-1)
        after = hasMore && last !== undefined ? scheduleKey(last.queue, last.id) : undefined
      }
    }
    return found.map(present)
  }

  /** It is not known here whether all messages of the queue share a shard, so both places are asked. Resolves to whether it was there. */
  async #find(
    { queue, id }: ScheduleName,
    { verb, encode }: { readonly verb: Verb<Done>; readonly encode: (writer: ByteWriter) => void },
    options: CallOptions,
  ): Promise<boolean> {
    await this.#router.whenReady(options)
    const value = this.#bodies.write(encode)
    const shards = new Set([this.#router.shardOf(queue, id), this.#router.shardOf(queue, '')])
    const answers = await Promise.all(
      [...shards].map((shard) => this.#router.submit(new Operation(verb, { shard, value }), options)),
    )
    return answers.some(({ status }) => status === 'ok')
  }
}

function definitionOf({ rule, until, missed, payload, headers }: ScheduleRule): ScheduleDefinition {
  const rest = { until: micros(until), missed, headers: encodeHeaders(headers), payload }
  if ('cron' in rule) return { rule: 'cron', spec: rule.cron, timeZone: rule.timeZone, everyMs: 0, at: 0, ...rest }
  const plain = { spec: '', timeZone: '' }
  if ('at' in rule) return { rule: 'at', ...plain, everyMs: 0, at: micros(rule.at), ...rest }
  return { rule: 'every', ...plain, everyMs: Math.max(1, Math.round(rule.every)), at: micros(rule.from), ...rest }
}

function present(stored: StoredSchedule): ScheduleStatus {
  const { definition, id, nextAt, firedAt } = stored
  return {
    id,
    queue: stored.queue,
    isPaused: stored.isPaused,
    nextAt: nextAt === undefined ? undefined : nextAt / 1000,
    lastFiring: firedAt === undefined ? undefined : firingId(id, firedAt),
    missedCount: stored.missedCount,
    missedTimes: stored.missedTimes.map((time) => time / 1000),
    rule: ruleOf(definition),
    until: definition.until === 0 ? undefined : definition.until / 1000,
    missed: definition.missed,
    headers: decodeHeaders(definition.headers),
    payload: definition.payload,
  }
}

function ruleOf({ rule, spec, timeZone, everyMs, at }: ScheduleDefinition): ScheduleRule['rule'] {
  if (rule === 'cron') return { cron: spec, timeZone }
  if (rule === 'at') return { at: at / 1000 }
  return at === 0 ? { every: everyMs } : { every: everyMs, from: at / 1000 }
}

function micros(time: number | undefined): number {
  return time === undefined || !Number.isFinite(time) ? 0 : Math.max(1, Math.round(time * 1000))
}
