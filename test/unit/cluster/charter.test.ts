import { expect, test } from 'vitest'
import { decodeCharter, encodeCharter } from '../../../src/cluster/charter.ts'

const founders = [{ node: 'n1', directory: 'd1', address: 'n1:7400' }]
const charter = { membership: { founders, founded: true }, shardMap: undefined, level: 7 }

test('a charter is read as it was written', () => {
  expect(decodeCharter(encodeCharter(charter))).toEqual(charter)
})

test('a charter of a version that knew no levels is of the first', () => {
  expect(decodeCharter(encodeCharter(charter).slice(0, -1))).toEqual({ ...charter, level: 1 })
})
