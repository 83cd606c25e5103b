import { createHash, createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  Handshake,
  type HandshakeCrypto,
  type HandshakeSettings,
  type HandshakeStep,
} from '../../../src/wire/handshake.ts'

const secret = new Uint8Array(32).fill(7)
const peer = (node: string, more: Partial<HandshakeSettings> = {}): HandshakeSettings => ({
  role: 'peer',
  cluster: 'shop',
  node,
  generation: 3,
  address: '127.0.0.1:7400',
  ...more,
})
const client = (more: Partial<HandshakeSettings> = {}): HandshakeSettings => ({
  role: 'client',
  cluster: '',
  node: '',
  generation: 0,
  address: '',
  ...more,
})

/** Nonces count upwards, so that a test is the same each time. */
function countingCrypto(): HandshakeCrypto {
  let count = 0
  return {
    nonce: () => createHash('sha256').update(`${count++}`).digest(),
    hmac: (key, bytes) => createHmac('sha256', key).update(bytes).digest(),
  }
}

const crypto = countingCrypto()

interface Meeting {
  readonly dialer: HandshakeStep
  readonly listener: HandshakeStep
  readonly toListener: readonly Uint8Array[]
  readonly toDialer: readonly Uint8Array[]
}

/** Lets two sides speak until neither has anything to say. */
function meet(from: HandshakeSettings, to: HandshakeSettings): Meeting {
  const dialer = new Handshake('dialer', from, crypto)
  const listener = new Handshake('listener', to, crypto)
  const toListener: Uint8Array[] = []
  const toDialer: Uint8Array[] = []
  const last: { dialer?: HandshakeStep; listener?: HandshakeStep } = {}
  let frame = dialer.start()
  let atListener = true
  while (frame !== undefined) {
    ;(atListener ? toListener : toDialer).push(frame)
    const step: HandshakeStep = (atListener ? listener : dialer).receive(frame)
    last[atListener ? 'listener' : 'dialer'] = step
    frame = step.send
    atListener = !atListener
  }
  const none: HandshakeStep = { type: 'waiting', send: new Uint8Array() }
  return { dialer: last.dialer ?? none, listener: last.listener ?? none, toListener, toDialer }
}

const codeOf = (step: HandshakeStep): string => (step.type === 'refused' ? step.error.code : step.type)

describe('two peers', () => {
  test('learn who the other is', () => {
    const { dialer, listener } = meet(peer('a', { generation: 4 }), peer('b', { generation: 9 }))
    expect(dialer).toMatchObject({ agreement: { peer: { role: 'peer', cluster: 'shop', node: 'b', generation: 9 } } })
    expect(listener).toMatchObject({ agreement: { peer: { role: 'peer', cluster: 'shop', node: 'a', generation: 4 } } })
  })

  test('agree on the highest version and the features that both have', () => {
    const { dialer, listener } = meet(
      peer('a', { versions: { min: 1, max: 5 }, features: 0b1110 }),
      peer('b', { versions: { min: 2, max: 3 }, features: 0b0111 }),
    )
    expect(dialer).toMatchObject({ agreement: { version: 3, features: 0b0110 } })
    expect(listener).toMatchObject({ agreement: { version: 3, features: 0b0110 } })
  })

  test('refuse each other when no version is common, whichever is newer', () => {
    const old = peer('a', { versions: { min: 1, max: 2 } })
    const young = peer('b', { versions: { min: 3, max: 4 } })
    for (const { dialer, listener } of [meet(old, young), meet(young, old)]) {
      expect([codeOf(dialer), codeOf(listener)]).toEqual(['VERSION_SKEW', 'VERSION_SKEW'])
    }
  })

  test('of two clusters refuse each other', () => {
    const { dialer, listener } = meet(peer('a'), peer('b', { cluster: 'bank' }))
    expect([codeOf(dialer), codeOf(listener)]).toEqual(['WRONG_CLUSTER', 'WRONG_CLUSTER'])
  })
})

describe('a client', () => {
  test('that names no cluster learns which one it has reached', () => {
    const { dialer, listener } = meet(client(), peer('b'))
    expect(dialer).toMatchObject({ agreement: { peer: { cluster: 'shop', node: 'b' } } })
    expect(listener).toMatchObject({ agreement: { peer: { role: 'client' } } })
  })

  test('that names another cluster is refused', () => {
    expect(codeOf(meet(client({ cluster: 'bank' }), peer('b')).dialer)).toBe('WRONG_CLUSTER')
  })
})

describe('a secret', () => {
  const verdicts = (from?: Uint8Array, to?: Uint8Array): string[] => {
    const { dialer, listener } = meet(peer('a', { secret: from }), peer('b', { secret: to }))
    return [codeOf(dialer), codeOf(listener)]
  }

  test('that both hold lets them in', () => {
    expect(verdicts(secret, secret)).toEqual(['accepted', 'accepted'])
  })

  test('that differs is refused on both sides', () => {
    expect(verdicts(new Uint8Array(32).fill(8), secret)).toEqual(['UNAUTHENTICATED', 'UNAUTHENTICATED'])
  })

  test('that only one side holds is refused on both, with what to do', () => {
    expect(verdicts(secret, undefined)).toEqual(['UNAUTHENTICATED', 'UNAUTHENTICATED'])
    expect(verdicts(undefined, secret)).toEqual(['UNAUTHENTICATED', 'UNAUTHENTICATED'])
    const { dialer } = meet(client(), peer('b', { secret }))
    expect(dialer).toMatchObject({ error: { message: expect.stringContaining('TROUPE_SECRET') } })
  })

  test('is never sent', () => {
    const { toListener, toDialer } = meet(peer('a', { secret }), peer('b', { secret }))
    const sent = Buffer.concat([...toListener, ...toDialer])
    expect(sent.includes(Buffer.from(secret.subarray(0, 8)))).toBe(false)
  })

  test('is not proved by a recorded handshake played again', () => {
    const { toListener } = meet(peer('a', { secret }), peer('b', { secret }))
    const listener = new Handshake('listener', peer('b', { secret }), crypto)
    const steps = toListener.map((frame) => codeOf(listener.receive(frame)))
    expect(steps).toEqual(['waiting', 'UNAUTHENTICATED'])
  })

  test('is not proved to a dialer by a listener that plays a recording', () => {
    const { toDialer } = meet(peer('a', { secret }), peer('b', { secret }))
    const dialer = new Handshake('dialer', peer('a', { secret }), crypto)
    expect(toDialer.map((frame) => codeOf(dialer.receive(frame)))).toEqual(['waiting', 'UNAUTHENTICATED'])
  })

  test("is not proved by the dialer's own proof sent back to it", () => {
    const dialer = new Handshake('dialer', peer('a', { secret }), crypto)
    const listener = new Handshake('listener', peer('b', { secret }), crypto)
    const hello = dialer.start() ?? new Uint8Array()
    const proof = dialer.receive(listener.receive(hello).send ?? new Uint8Array()).send ?? new Uint8Array()
    const reflected = proof.slice()
    reflected[0] = 3 // calls itself ready
    expect(codeOf(dialer.receive(reflected))).toBe('UNAUTHENTICATED')
  })

  test('covers every byte of both hellos', () => {
    const { toListener } = meet(peer('a', { secret }), peer('b', { secret }))
    for (const [at] of (toListener[0] ?? []).entries()) {
      const dialer = new Handshake('dialer', peer('a', { secret }), crypto)
      const listener = new Handshake('listener', peer('b', { secret }), crypto)
      const hello = dialer.start()?.slice() ?? new Uint8Array()
      hello[at] = (hello[at] ?? 0) ^ 1
      const answer = listener.receive(hello)
      if (answer.type !== 'waiting') continue
      const proof = dialer.receive(answer.send)
      expect(proof.type).toBe('waiting')
      expect(codeOf(listener.receive(proof.send ?? new Uint8Array()))).not.toBe('accepted')
    }
  })
})

describe('hostile bytes', () => {
  const bytes = fc.uint8Array({ maxLength: 200 })

  test('end a handshake without an answer', () => {
    fc.assert(
      fc.property(bytes, fc.constantFrom('dialer' as const, 'listener' as const), (frame, side) => {
        const step = new Handshake(side, peer('b', { secret }), crypto).receive(frame)
        expect(step.type).toBe('refused')
        expect(step.send).toBeUndefined()
      }),
    )
  })

  test('never open a door that a secret guards', () => {
    const { toListener } = meet(peer('a', { secret }), peer('b', { secret }))
    const flips = fc.array(fc.record({ frame: fc.nat(1), at: fc.nat(200), to: fc.nat(255) }), { maxLength: 4 })
    fc.assert(
      fc.property(flips, bytes, (mutations, extra) => {
        const frames = [...toListener.map((frame) => frame.slice()), extra]
        for (const { frame, at, to } of mutations) frames[frame]?.set([to], at % (frames[frame]?.length ?? 1))
        const listener = new Handshake('listener', peer('b', { secret }), crypto)
        for (const frame of frames) expect(listener.receive(frame).type).not.toBe('accepted')
      }),
    )
  })

  test("in a refusal reach nobody's terminal", () => {
    const clearScreen = '\u001b[2J'
    const { dialer } = meet(peer('a'), peer('b', { cluster: `bank${clearScreen}` }))
    expect(codeOf(dialer)).toBe('WRONG_CLUSTER')
    expect(dialer.type === 'refused' && dialer.error.message.includes('\u001b')).toBe(false)
  })
})
