import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeFrame, FrameReader } from '../../../src/base/frame.ts'

const bodies = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 })

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

function readAll(reader: FrameReader, chunks: readonly Uint8Array[]): number[][] {
  const frames: number[][] = []
  for (const chunk of chunks) reader.push(chunk, (frame) => frames.push([...frame]))
  return frames
}

describe('FrameReader', () => {
  test('gives the frames that were written, however the stream is cut', () => {
    fc.assert(
      fc.property(bodies, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (written, sizes) => {
        const stream = join(written.map(encodeFrame))
        const chunks: Uint8Array[] = []
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const size = sizes[turn % sizes.length] ?? 1
          chunks.push(stream.subarray(at, at + size))
          at += size
        }
        const reader = new FrameReader()
        expect(readAll(reader, chunks)).toEqual(written.map((body) => [...body]))
        expect(reader.isMidFrame).toBe(false)
      }),
    )
  })

  test('copies nothing when a frame lies within one chunk', () => {
    const chunk = join([encodeFrame(Uint8Array.of(1, 2)), encodeFrame(Uint8Array.of(3))])
    const buffers = new Set<ArrayBufferLike>()
    new FrameReader().push(chunk, (frame) => buffers.add(frame.buffer))
    expect([...buffers]).toEqual([chunk.buffer])
  })

  test('copies nothing when only the header came earlier', () => {
    const stream = encodeFrame(Uint8Array.of(1, 2))
    const reader = new FrameReader()
    const body = stream.slice(4)
    reader.push(stream.slice(0, 4), () => expect.unreachable())
    reader.push(body, (frame) => expect(frame.buffer).toBe(body.buffer))
    expect(reader.isMidFrame).toBe(false)
  })

  test('refuses a frame over the limit by its header alone', () => {
    const reader = new FrameReader(10)
    expect(() => reader.push(Uint8Array.of(11, 0, 0, 0), () => undefined)).toThrow(
      expect.objectContaining({ code: 'DATA_DAMAGED' }),
    )
    expect(readAll(new FrameReader(10), [encodeFrame(new Uint8Array(10))])).toHaveLength(1)
  })

  test('knows that a stream has ended within a frame', () => {
    const reader = new FrameReader()
    reader.push(encodeFrame(Uint8Array.of(1, 2)).subarray(0, 5), () => expect.unreachable())
    expect(reader.isMidFrame).toBe(true)
  })
})
