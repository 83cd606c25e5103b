import { describe, expect, test } from 'vitest'
import { nearestName, refuseUnknownOptions, unknownName } from '../../../src/base/argument.ts'

const KNOWN = new Set(['timeout', 'signal', 'ifRevision'])

describe('refuseUnknownOptions', () => {
  test('lets known options pass, also when they are undefined', () => {
    expect(() => refuseUnknownOptions('map.set', { timeout: 1, signal: undefined }, KNOWN)).not.toThrow()
  })

  test('names the unknown option, its taker and the nearest known name', () => {
    const attempt = (): void => refuseUnknownOptions('map.set', { timout: 1 }, KNOWN)
    expect(attempt).toThrow("map.set knows no option 'timout'; did you mean 'timeout'?")
  })

  test('refuses what is no object', () => {
    for (const bad of [null, 'text', 7]) {
      expect(() => refuseUnknownOptions('map.set', bad as unknown as object, KNOWN)).toThrow(
        'takes an object of options',
      )
    }
  })
})

describe('nearestName', () => {
  test('finds a name by few edits, whatever their case', () => {
    expect(nearestName('ifrevison', KNOWN)).toBe('ifRevision')
    expect(nearestName('singal', KNOWN)).toBe('signal')
  })

  test('finds nothing where nearly everything differs, and then all known names are listed', () => {
    expect(nearestName('durability', KNOWN)).toBeUndefined()
    expect(unknownName('no option', 'durability', KNOWN)).toContain('known: timeout, signal, ifRevision')
  })
})
