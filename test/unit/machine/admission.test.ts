import { describe, expect, test } from 'vitest'
import { engineKind } from '../../../src/machine/admission.ts'
import { COMMAND, encodeHead } from '../../../src/machine/command.ts'
import { LEASE_COMMAND } from '../../../src/machine/lease/command.ts'
import { emitPart } from '../../../src/machine/outbox.ts'
import { QUEUE_COMMAND } from '../../../src/machine/queue/command.ts'
import { SCHEDULE_COMMAND } from '../../../src/machine/schedule/command.ts'
import { encodeTransaction } from '../../../src/machine/transaction.ts'
import { anyone, bytes } from './operations.ts'

const engines = [
  COMMAND.refuse,
  COMMAND.relay,
  COMMAND.relayed,
  QUEUE_COMMAND.lapse,
  LEASE_COMMAND.leaseExpire,
  SCHEDULE_COMMAND.schedulePlan,
]
const partOf = (kind: number) => ({ kind, encode: () => undefined })
const alone = (kind: number) => bytes((writer) => encodeHead(writer, kind, anyone))
const together = (...kinds: number[]) => bytes((writer) => encodeTransaction(writer, anyone, kinds.map(partOf)))

describe("what only an engine may send is found in a client's command", () => {
  test.each(engines)('kind %i: alone, as a part, and in an emit', (kind) => {
    expect(engineKind(alone(kind))).toBe(kind)
    expect(engineKind(together(COMMAND.set, kind, COMMAND.delete))).toBe(kind)
    expect(engineKind(bytes((writer) => encodeTransaction(writer, anyone, [emitPart(3, partOf(kind))])))).toBe(kind)
  })

  test('and nothing else is, nor are bytes that are no command', () => {
    for (const kind of [COMMAND.set, COMMAND.resolve, QUEUE_COMMAND.send, QUEUE_COMMAND.acknowledge]) {
      expect(engineKind(alone(kind))).toBeUndefined()
      expect(engineKind(together(kind))).toBeUndefined()
      expect(
        engineKind(bytes((writer) => encodeTransaction(writer, anyone, [emitPart(3, partOf(kind))]))),
      ).toBeUndefined()
    }
    expect(engineKind(new Uint8Array(0))).toBeUndefined()
    expect(engineKind(new Uint8Array([COMMAND.transaction, 1, 2]))).toBeUndefined()
  })
})
