import { expect, test } from 'vitest'
import { readConsumers } from '../../../../../src/driver/native/queue/consumer-status.ts'

const read = (text: string) => readConsumers(new TextEncoder().encode(text))

test('what an engine says of consumers is facts, or malformed with a code', () => {
  const facts = [{ consumer: 'w', lastPollMs: 1, unsettled: 2, oldestUnsettledMs: 3 }]
  expect(read(JSON.stringify(facts))).toEqual(facts)
  for (const text of ['', '[y"consumer"', '{}', '[null]', '[1]']) {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'DATA_DAMAGED' }))
  }
})
