/** A topic of a conformance case. */

import type { NamedTopic, Published, RecordBatch, SubscribeOptions, TopicFacet, TopicRules } from '../contract.ts'
import { bytes, ConformanceError } from './case.ts'
import { type TimedConformanceContext, texts, topicOf } from './message-case.ts'

const NO_LIMIT = Number.POSITIVE_INFINITY
const RULES: TopicRules = { partitions: 1, keepMs: NO_LIMIT, keepBytes: NO_LIMIT, keepCount: NO_LIMIT, compact: false }

/** A topic of its own, a way to publish to it, and one to read it. */
export class TopicScene {
  readonly facet: TopicFacet
  readonly topic: NamedTopic
  readonly sleep: TimedConformanceContext['sleep']

  constructor(context: TimedConformanceContext, rules: Partial<TopicRules> = {}) {
    this.facet = topicOf(context)
    this.topic = { name: context.name, rules: { ...RULES, ...rules } }
    this.sleep = context.sleep
  }

  publish(text: string, key = ''): Promise<Published> {
    return this.facet.publish(this.topic, { key, payload: bytes(text), headers: { h: '1' } }, {})
  }

  async publishAll(...all: string[]): Promise<void> {
    for (const text of all) await this.publish(text, 'k')
  }

  subscribe(options: Partial<SubscribeOptions> = {}): AsyncIterator<RecordBatch> {
    return this.facet.subscribe(this.topic, { batch: 100, ...options })[Symbol.asyncIterator]()
  }

  async next(batches: AsyncIterator<RecordBatch>): Promise<RecordBatch> {
    const next = await Promise.race([batches.next(), this.sleep(5000)])
    if (next === undefined || next.done === true) throw new ConformanceError('wanted a batch, found none')
    return next.value
  }

  /** Payloads until so many have come. */
  async read(batches: AsyncIterator<RecordBatch>, count: number): Promise<string[]> {
    const read: string[] = []
    while (read.length < count) read.push(...texts((await this.next(batches)).records))
    return read
  }
}
