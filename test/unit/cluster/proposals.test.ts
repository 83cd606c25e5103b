import { expect, test } from 'vitest'
import { Proposals } from '../../../src/cluster/proposals.ts'
import { BatchReader } from '../../../src/machine/batch.ts'
import { FIRST_LEVEL } from '../../../src/machine/level.ts'

const nobody = { reply: () => {} }

function commandsOf(entry: Uint8Array): number[][] {
  const batch = new BatchReader(entry)
  const commands: number[][] = []
  while (batch.next()) commands.push([...entry.subarray(batch.reader.at, batch.end)])
  return commands
}

test('entries of one turn stay as they are until the log has them', () => {
  const proposals = new Proposals()
  const entries = [1, 2, 3].map((number) => {
    proposals.add(nobody, number, Uint8Array.of(number, number))
    return proposals.take(number, number, FIRST_LEVEL)
  })
  expect(entries.map(commandsOf)).toEqual([[[1, 1]], [[2, 2]], [[3, 3]]])
})

test('an entry holds nothing of those whose bytes it uses again', () => {
  const proposals = new Proposals()
  for (let number = 1; number <= 5; number++) {
    proposals.add(nobody, number, Uint8Array.of(number))
    expect(commandsOf(proposals.take(number, number, FIRST_LEVEL))).toEqual([[number]])
    proposals.staged()
    expect(commandsOf(proposals.take(100 + number, number, FIRST_LEVEL))).toEqual([])
    proposals.staged()
  }
})

test('the memory of a long entry is given back when the log has it', () => {
  const proposals = new Proposals()
  proposals.add(nobody, 1, new Uint8Array(100_000))
  const entry = proposals.take(1, 1, FIRST_LEVEL)
  expect(entry.length).toBeGreaterThan(100_000)
  proposals.staged()
  expect(entry.length).toBe(0)
})
