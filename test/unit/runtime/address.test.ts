import { describe, expect, test } from 'vitest'
import { formatAddress, isLoopback, parseAddress } from '../../../src/runtime/address.ts'

describe('parseAddress', () => {
  test.each([
    ['127.0.0.1:7400', '127.0.0.1', 7400],
    ['[::1]:7400', '::1', 7400],
    ['[2001:DB8:0:0:0:0:0:1]:65535', '2001:db8::1', 65_535],
    ['localhost:1', 'localhost', 1],
    ['node-0.troupe.default.svc.cluster.local:7400', 'node-0.troupe.default.svc.cluster.local', 7400],
    ['my_service:7400', 'my_service', 7400],
  ])('reads %s', (text, host, port) => {
    expect(parseAddress(text)).toEqual({ host, port })
  })

  test.each([
    '',
    'localhost',
    ':7400',
    'localhost:',
    'localhost:port',
    'localhost:65536',
    'localhost:0',
    'localhost:-1',
    'localhost:7400 ',
    ' localhost:7400',
    'http://localhost:7400',
    'localhost:7400/path',
    '::1:7400',
    '[::1]',
    '[::1:7400',
    '[]:7400',
    '[:::1]:7400',
    '[1:2:3:4:5:6:7:8:9]:7400',
    '[fe80::1%eth0]:7400',
    '[127.0.0.1]:7400',
    '256.0.0.1:7400',
    '1.2.3:7400',
    '1.2.3.4.5:7400',
    '01.2.3.4:7400',
    'a..b:7400',
    '-a:7400',
    `${'a'.repeat(64)}:7400`,
    `${'a.'.repeat(130)}b:7400`,
  ])('refuses %j, and says what it wants', (text) => {
    expect(() => parseAddress(text)).toThrow(
      expect.objectContaining({ code: 'ADDRESS_INVALID', details: { address: text } }),
    )
  })

  test('takes port 0 only where a free port may be picked', () => {
    expect(parseAddress('127.0.0.1:0', true)).toEqual({ host: '127.0.0.1', port: 0 })
  })
})

test('formatAddress writes what parseAddress reads', () => {
  for (const text of ['127.0.0.1:7400', '[::1]:7400', 'a.b:1']) expect(formatAddress(parseAddress(text))).toBe(text)
})

test('only 127.0.0.0/8, ::1 and localhost are certainly loopback', () => {
  const loopback = ['127.0.0.1:1', '127.9.9.9:1', '[::1]:1', '[0:0:0:0:0:0:0:1]:1', 'localhost:1']
  const reachable = ['0.0.0.0:1', '[::]:1', '10.0.0.1:1', '127.example.com:1', 'host:1', '[::ffff:127.0.0.1]:1']
  expect(loopback.map((text) => isLoopback(parseAddress(text)))).toEqual(loopback.map(() => true))
  expect(reachable.map((text) => isLoopback(parseAddress(text)))).toEqual(reachable.map(() => false))
})
