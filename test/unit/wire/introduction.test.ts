import { expect, test } from 'vitest'
import { ByteReader, ByteWriter } from '../../../src/base/bytes.ts'
import { readIntroduction, writeIntroduction } from '../../../src/wire/introduction.ts'

const member = (node: string) => ({ node, directory: `directory of ${node}`, address: `${node}:7400` })
const introduction = {
  self: member('n1'),
  founders: [member('n1'), member('n2')],
  founded: true,
  expected: 2,
  shards: 16,
  levels: { own: 3, agreed: 2 },
}

function written(): Uint8Array {
  const writer = new ByteWriter()
  writeIntroduction(writer, introduction)
  return writer.copy()
}

test('an introduction is read as it was written', () => {
  expect(readIntroduction(new ByteReader(written()))).toEqual(introduction)
})

test('a node that does not speak of levels executes the first one', () => {
  expect(readIntroduction(new ByteReader(written().slice(0, -2)))).toEqual({
    ...introduction,
    levels: { own: 1, agreed: 1 },
  })
})
