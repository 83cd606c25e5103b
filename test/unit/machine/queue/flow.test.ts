import { describe, expect, test } from 'vitest'
import { QUEUE_COMMAND } from '../../../../src/machine/queue/command.ts'
import {
  decodeChildren,
  encodeArrive,
  encodeChildrenQuery,
  encodeContent,
  encodeFlowHead,
} from '../../../../src/machine/queue/encode.ts'
import { bytes } from '../operations.ts'
import { type Content, command, House, outgoing, QUEUE, redriving, text, textOf } from './operations.ts'

describe('a flow', () => {
  const flow = (name: string, children: number, content: Content = {}) =>
    command(QUEUE_COMMAND.sendFlow, (writer) => {
      encodeFlowHead(writer, QUEUE, name, children)
      encodeContent(writer, outgoing(name, content))
    })
  const arriving = (name: string, child: number, result: string) =>
    command(QUEUE_COMMAND.arrive, (writer) => encodeArrive(writer, { queue: QUEUE, flow: name, child }, text(result)))
  const children = (house: House, id: number, from = 0) =>
    decodeChildren(
      house.shard.query(bytes((writer) => encodeChildrenQuery(writer, { queue: QUEUE, id }, from))).slice(),
    )

  test('waits for each of its children, also after a snapshot, and tells their results', () => {
    const house = new House()
    const id = house.ok(flow('f', 3))
    expect(house.ok(arriving('f', 2, 'c'))).toBe(2)
    expect(house.ok(arriving('f', 2, 'again'))).toBe(2)
    expect(house.ok(arriving('f', 3, 'of another flow'))).toBe(2)
    expect(house.do(flow('f', 3))).toEqual([{ status: 'duplicate', revision: id }])
    const copy = house.copy()
    for (const one of [house, copy]) {
      expect(one.ok(arriving('f', 0, 'a'))).toBe(1)
      one.pass(10_000_000)
      expect(one.hold()).toBeUndefined()
      expect(one.ok(arriving('f', 1, 'b'))).toBe(0)
      expect(children(one, id)?.results.map(textOf)).toEqual(['a', 'b', 'c'])
      expect(children(one, id, 2)).toMatchObject({ count: 3, results: [text('c')] })
      expect(one.work()).toEqual(['f'])
      expect(one.do(arriving('f', 1, 'late'))[0]?.status).toBe('absent')
      expect(children(one, id)).toBeUndefined()
    }
    expect(copy.shard.digest()).toBe(house.shard.digest())
  })

  test('that expired waits on when it is redriven, and does not if its children came meanwhile', () => {
    const house = new House()
    house.ok(flow('f', 2, { expires: 5_000_000, isExpiresRelative: true }))
    house.ok(flow('g', 1, { expires: 5_000_000, isExpiresRelative: true }))
    house.pass(5000)
    expect(house.stats()).toMatchObject({ delayed: 0, dead: 2 })
    house.ok(arriving('f', 0, 'a'))
    house.ok(arriving('g', 0, 'a'))
    expect(house.stats().dead).toBe(2)
    house.ok(redriving())
    expect(house.work()).toEqual(['g'])
    house.ok(arriving('f', 1, 'b'))
    expect(house.work()).toEqual(['f'])
  })

  test('has a name, and 1 to 1000 children', () => {
    const house = new House()
    for (const wrong of [flow('', 1), flow('f', 0), flow('f', 1001)]) {
      expect(house.do(wrong)[0]?.status).toBe('malformed')
    }
    expect(house.stats().delayed).toBe(0)
  })
})
