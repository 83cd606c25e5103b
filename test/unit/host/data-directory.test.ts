import { describe, expect, test } from 'vitest'
import { isTroupeError } from '../../../src/base/error.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { claimDirectory, readIdentity } from '../../../src/host/data-directory.ts'
import { SealedFile } from '../../../src/host/sealed-file.ts'
import { VirtualDisk } from '../../../src/simulation/world/disk.ts'
import { bytes, node, virtualDisk } from './log/scene.ts'

const owner = { cluster: 'c1', node: node('n1') }

function refusal(action: Promise<unknown>): Promise<unknown> {
  return action.then(
    () => undefined,
    (error: unknown) => error,
  )
}

describe('a data directory', () => {
  test('counts the starts of its node, durably', async () => {
    let disk = virtualDisk()
    expect(readIdentity(disk)).toBeUndefined()
    for (const generation of [1, 2, 3]) {
      expect(await claimDirectory(disk, owner)).toEqual({ ...owner, generation })
      disk.crash()
      disk = disk.reopen()
    }
  })

  test('refuses another cluster and another node, and stays as it was', async () => {
    const disk = virtualDisk()
    await claimDirectory(disk, owner)
    for (const stranger of [
      { ...owner, cluster: 'c2' },
      { ...owner, node: node('n2') },
    ]) {
      expect(isTroupeError(await refusal(claimDirectory(disk, stranger)), 'WRONG_CLUSTER')).toBe(true)
    }
    expect(readIdentity(disk)).toEqual({ ...owner, generation: 1 })
  })

  test('refuses an identity with any byte changed, and a log without one', async () => {
    const disk = virtualDisk()
    await claimDirectory(disk, owner)
    for (let at = 0; at < disk.open('identity').size; at++) {
      const copy = disk.clone()
      copy.flip('identity', at, at % 8)
      expect([isTroupeError(await refusal(claimDirectory(copy, owner)), 'DATA_DAMAGED'), at]).toEqual([true, at])
    }
    disk.remove('identity')
    disk.open('log-00000001', 512)
    expect(isTroupeError(await refusal(claimDirectory(disk, owner)), 'DATA_DAMAGED')).toBe(true)
  })

  test('refuses to have lost the note of how far its log reaches', async () => {
    const disk = virtualDisk()
    await claimDirectory(disk, owner)
    disk.remove('head')
    expect(await refusal(claimDirectory(disk, owner))).toMatchObject({
      code: 'DATA_DAMAGED',
      details: { file: 'head' },
    })
  })

  test('is claimed or not after a power cut at every operation, and never taken for damaged', async () => {
    class PowerCut extends Error {}
    for (let at = 1, finished = false; !finished; at++) {
      const before = (_: string, count: number) => {
        if (count === at) throw new PowerCut()
      }
      const disk = virtualDisk({ random: new SeededRandom(at), before })
      finished = await claimDirectory(disk, owner).then(
        () => true,
        () => false,
      )
      disk.crash()
      const { generation } = await claimDirectory(disk.reopen({ random: new SeededRandom(at) }), owner)
      expect(generation).toBe(finished ? 2 : 1)
    }
  })

  test.each([
    ['newer', 3],
    ['older', 1],
  ])('refuses what a %s version wrote, says what to do, and stays as it was', async (_, format) => {
    const disk = virtualDisk()
    new SealedFile(disk, { name: 'identity', format }).replace(bytes('?'), () => {})
    const before = disk.open('identity').read(0, 1000)
    const error = await refusal(claimDirectory(disk, owner))
    expect(error).toMatchObject({ code: 'VERSION_SKEW', details: { file: 'identity', format } })
    expect(String(error)).toContain('Start the version of Troupe that wrote it')
    expect(disk.open('identity').read(0, 1000)).toEqual(before)
  })
})

describe('a sealed file', () => {
  test('holds the old or the new content after a crash at every operation', () => {
    class PowerCut extends Error {}
    for (let at = 1; at <= 12; at++) {
      let operations = Number.NEGATIVE_INFINITY
      const before = () => {
        operations++
        if (operations === at) throw new PowerCut()
      }
      const disk = new VirtualDisk({ random: new SeededRandom(at), before })
      const file = new SealedFile(disk, { name: 'charter', format: 1 })
      file.replace(bytes('old'), () => {})
      operations = 0
      let isDone = false
      try {
        file.replace(bytes('new'), () => {
          isDone = true
        })
      } catch {}
      disk.crash()
      const content = new SealedFile(disk.reopen({ random: new SeededRandom(1) }), {
        name: 'charter',
        format: 1,
      }).read()
      expect(isDone ? [bytes('new')] : [bytes('old'), bytes('new')]).toContainEqual(content)
    }
  })
})
